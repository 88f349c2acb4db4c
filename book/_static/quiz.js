// Counts which questions of a quiz were right at the first try. Without it every choice still unfolds.
"use strict";

for (const quiz of document.querySelectorAll(".cmr-quiz")) {
  const questions = [...quiz.querySelectorAll(".cmr-question")];
  const score = document.createElement("p");
  const said = document.createElement("span");
  const again = document.createElement("button");
  said.setAttribute("role", "status");
  again.type = "button";
  again.textContent = "Start again";
  score.className = "cmr-score";
  score.append(said, " ", again);
  quiz.append(score);

  const tell = () => {
    const answered = questions.filter((question) => question.dataset.first);
    const right = answered.filter((question) => question.dataset.first === "right");
    said.textContent = `${right.length} of ${questions.length} right at the first try, ${answered.length} answered.`;
    again.hidden = !answered.length;
  };

  for (const question of questions) {
    for (const choice of question.querySelectorAll("details.cmr-choice")) {
      choice.addEventListener("toggle", () => {
        if (!choice.open || question.dataset.first) return;
        question.dataset.first = choice.classList.contains("cmr-right") ? "right" : "wrong";
        tell();
      });
    }
  }
  again.addEventListener("click", () => {
    for (const open of quiz.querySelectorAll("details[open]")) open.open = false;
    for (const question of questions) delete question.dataset.first;
    tell();
    questions[0].querySelector("summary").focus();
  });
  tell();
}
