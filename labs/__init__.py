"""Labs for students: notebooks with solutions, what checks an answer, and what makes the students' copies."""
