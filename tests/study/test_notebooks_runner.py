"""The runner: parameters, the kernel it starts, what it skips, how it fails, and what it leaves behind."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest

import cmr
from book import execute
from book.execute import fingerprint, run_notebooks
from book.seen import contents, look
from cmr.errors import UserError
from cmr.study import kernel, notebooks
from cmr.study.notebooks import notebook_parameters, run_notebook
from cmr.study.parameters import parse_parameters

PARAMETERS = """\
epochs: int = 20  # how often the training images are seen
rate = 0.5
sizes = [16, 32]
backbone: str = "tiny"
seed = None
double = 2 * 3  # not a literal
"""


def write(path: Path, *sources: str, parameters: str = PARAMETERS) -> Path:
    cells = [nbformat.v4.new_markdown_cell("# A notebook"), nbformat.v4.new_code_cell(parameters)]
    cells[1].metadata.tags = ["parameters"]
    cells += [nbformat.v4.new_code_cell(source) for source in sources]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def printed(path: Path) -> str:
    cells = nbformat.read(path, as_version=4).cells
    return "".join(o.get("text", "") for cell in cells if cell.cell_type == "code" for o in cell.outputs)


def test_parameters_are_read_from_the_tagged_cell(tmp_path):
    found = notebook_parameters(write(tmp_path / "a.ipynb"))
    assert found == {"epochs": 20, "rate": 0.5, "sizes": [16, 32], "backbone": "tiny", "seed": None, "double": None}


@pytest.mark.slow
def test_a_run_takes_parameters_uses_this_python_and_this_library_and_holds_no_path_of_the_machine(
    tmp_path, monkeypatch
):
    # a kernel of the user's with the same name must not be the one that runs
    spec = tmp_path / "jupyter" / "kernels" / "python3" / "kernel.json"
    spec.parent.mkdir(parents=True)
    spec.write_text(json.dumps({"argv": ["false"], "display_name": "broken", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    same = f"import sys, cmr; print(sys.executable == {sys.executable!r}, cmr.__file__ == {cmr.__file__!r})"
    path = write(
        tmp_path / "in" / "a.ipynb",
        same,
        "import os; print(epochs, rate, sizes, os.getcwd(), sys.prefix, cmr.__file__)",
    )
    out = tmp_path / "out" / "b.ipynb"

    seconds = run_notebook(path, out, {"epochs": 3, "rate": 1, "sizes": (8, 9), "seed": 4}, progress=False)

    assert 0 < seconds < 60
    lines = printed(out).splitlines()
    assert lines == ["True True", "3 1 [8, 9] . .venv ../cmr/__init__.py"]
    written = nbformat.read(out, as_version=4)
    assert (written.metadata.papermill.input_path, written.metadata.papermill.output_path) == ("a.ipynb", "b.ipynb")
    text = out.read_text().replace(repr(sys.executable), "").replace(repr(cmr.__file__), "")  # in the cell's own source
    assert str(tmp_path) not in text
    assert sys.prefix + "/" not in text
    assert sorted(p.name for p in out.parent.iterdir()) == ["b.ipynb"]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"epohcs": 3}, "unknown parameter of a.ipynb 'epohcs': did you mean 'epochs'?"),
        ({"epochs": "three"}, "parameter epochs of a.ipynb: 'three' is not int, as its default 20 is"),
        ({"epochs": True}, "parameter epochs of a.ipynb: True is not int"),
        ({"epochs": 2.5}, "parameter epochs of a.ipynb: 2.5 is not int"),
        (
            {"backbone": 2011},
            "parameter backbone of a.ipynb: 2011 is not str, as its default 'tiny' is; quote text that "
            """looks like something else: "backbone='2011'\"""",
        ),
        ({"backbone": 1e5}, "parameter backbone of a.ipynb: 100000.0 is not str"),
        ({"sizes": 9}, "parameter sizes of a.ipynb: 9 is not list, as its default [16, 32] is; write sizes=[9]"),
        ({"epochs": "9" * 5000}, "parameter epochs of a.ipynb: '99999"),
        ({"seed": 1j}, "parameter seed: 1j is complex, which cannot be passed on; give a number, true, false, text"),
        ({"seed": [{1}]}, "parameter seed: {1} is set, which cannot be passed on"),
        ({"seed": {1: 2}}, "parameter seed: {1: 2} is dict, which cannot be passed on"),
        ({"seed": b"a"}, "parameter seed: b'a' is bytes"),
        ({"seed": ...}, "parameter seed: Ellipsis is ellipsis"),
        ({"epochs": 10**5000}, "parameter epochs: a number of thousands of digits has more than 64 bits"),
    ],
)
def test_a_wrong_parameter_fails_before_anything_runs(tmp_path, parameters, message):
    path = write(tmp_path / "a.ipynb", "print(1)")
    with pytest.raises(UserError) as error:
        run_notebook(path, tmp_path / "out.ipynb", parameters)
    assert str(error.value).startswith(message)
    assert len(str(error.value)) < 300
    assert not (tmp_path / "out.ipynb").exists()


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("folder", "folder is a folder; name the executed copy, for example .*folder/a.ipynb"),
        ("noext", "noext does not end in .ipynb; give .*noext.ipynb"),
        ("a.ipynb", "its copy would replace the notebook .*a.ipynb; give another name or folder"),
        ("folder/../a.ipynb", "its copy would replace the notebook"),
        ("file/b.ipynb", "file/b.ipynb cannot be written .*; name another place"),
        ("x" * 250 + ".ipynb", "cannot be written .*; name another place"),
        ("c.ipynb", "c.failed.ipynb is in the way and no file"),
    ],
)
def test_a_place_where_the_copy_cannot_go_is_told_before_anything_runs(tmp_path, out, message):
    path = write(tmp_path / "a.ipynb", "open('ran', 'w')")
    before = path.read_bytes()
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "c.failed.ipynb").mkdir()
    with pytest.raises(UserError, match=message):
        run_notebook(path, tmp_path / out)
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.ipynb", "c.failed.ipynb", "file", "folder"]


def test_a_notebook_called_failed_is_not_taken_for_a_left_over(tmp_path):
    path = write(tmp_path / "a.failed.ipynb", "1")
    with pytest.raises(UserError, match="would replace the notebook"):
        run_notebook(path, tmp_path / "a.ipynb")
    assert path.is_file()


@pytest.mark.parametrize(
    ("prefix", "home", "text", "cleaned"),
    [
        (
            "/usr",
            "/none",
            "see https://host/users/x and /usr/share/dict",
            "see https://host/users/x and .venv/share/dict",
        ),
        ("/env", "/data", "/dataset/a.png, https://host/data/b.png", "/dataset/a.png, https://host/data/b.png"),
        ("/env", "/data", "'/data/a.png', x=/data:/data/b /data.", "'~/a.png', x=~:~/b ~."),
        ("/env", "/data", "/data-2 /data.old /old/data/x file:///data/a", "/data-2 /data.old /old/data/x file://~/a"),
        ("/env", "/app", "type: text/application/app", "type: text/application/app"),
        ("/data/env", "/data", "\x1b[0;32m/data/env/lib\x1b[0m 'a\\n/data/b'", "\x1b[0;32m.venv/lib\x1b[0m 'a\\n~/b'"),
    ],
)
def test_only_whole_names_of_a_path_are_cleaned(monkeypatch, tmp_path, prefix, home, text, cleaned):
    monkeypatch.setattr(sys, "prefix", prefix)
    monkeypatch.setenv("HOME", home)
    cell = nbformat.v4.new_code_cell(text, outputs=[nbformat.v4.new_output("stream", text=text)])
    notebook = nbformat.v4.new_notebook(cells=[cell], metadata={"papermill": {}})
    found = notebooks._clean(notebook, tmp_path / "a.ipynb", tmp_path / "b.ipynb").cells[0]
    assert found.outputs[0].text == cleaned
    assert found.source == text


def test_a_notebook_without_parameters_takes_none(tmp_path):
    path = write(tmp_path / "a.ipynb", parameters="import os")
    with pytest.raises(UserError, match="takes no parameters .*; got epochs"):
        run_notebook(path, tmp_path / "out.ipynb", {"epochs": 3})


def test_a_missing_or_broken_notebook_is_named(tmp_path):
    write(tmp_path / "train.ipynb")
    with pytest.raises(UserError, match=r"trian\.ipynb: there is no such notebook; did you mean .*train\.ipynb\?"):
        run_notebook(tmp_path / "trian.ipynb", tmp_path / "out.ipynb")
    (tmp_path / "broken.ipynb").write_text("{")
    with pytest.raises(UserError, match=r"broken\.ipynb: is not a notebook"):
        run_notebook(tmp_path / "broken.ipynb", tmp_path / "out.ipynb")
    write(tmp_path / "magic.ipynb", parameters="%matplotlib inline\nepochs = 3")
    with pytest.raises(UserError, match=r"magic\.ipynb: its parameters cell is not plain Python"):
        run_notebook(tmp_path / "magic.ipynb", tmp_path / "out.ipynb", {"epochs": 4})


@pytest.mark.slow
def test_a_failing_cell_is_named_and_the_last_good_copy_stays(tmp_path):
    out = tmp_path / "out" / "a.ipynb"
    path = write(tmp_path / "a.ipynb", "print('good')")
    run_notebook(path, out)
    write(path, "print('better')", "raise ValueError('first line\\nthe map has 3 dimensions, not 2')")
    with pytest.raises(UserError) as error:
        run_notebook(path, out, {"epochs": 1})
    # the fourth cell of the file as its reader sees it: heading, parameters, print, raise
    assert str(error.value).startswith(f"{path}, cell 4 (In [4]): ValueError: ... the map has 3 dimensions, not 2")
    assert printed(out) == "good\n"
    assert "the map has 3 dimensions" in out.with_suffix(".failed.ipynb").read_text()

    write(path, "print('best')")
    run_notebook(path, out)
    assert printed(out) == "best\n"
    assert sorted(p.name for p in out.parent.iterdir()) == ["a.ipynb"]


@pytest.mark.slow
def test_two_notebooks_of_one_folder_run_at_once(tmp_path):
    paths = [write(tmp_path / f"{name}.ipynb", "import time; time.sleep(2); print('done')") for name in "ab"]
    with ThreadPoolExecutor(2) as pool, execute.process() as one, execute.process() as other:
        out = [tmp_path / "out" / path.name for path in paths]
        seconds = list(pool.map(execute.apart, (one, other), paths, out))
    assert all(printed(tmp_path / "out" / path.name) == "done\n" for path in paths) and len(seconds) == 2
    assert not [path for path in tmp_path.iterdir() if "ipc" in path.name]


@pytest.mark.slow
@pytest.mark.parametrize("warm", [True, False])
def test_a_notebooks_process_is_fresh_and_has_the_figures_environment_and_folder_of_the_caller(
    warm, tmp_path, monkeypatch
):
    if warm and not kernel.WARM:
        pytest.skip("notebooks' processes are forked on Linux only")
    monkeypatch.setattr(kernel, "WARM", warm)
    monkeypatch.setenv("CMR_TRIED", "yes")
    monkeypatch.delenv("MPLBACKEND")
    draw = "import matplotlib.pyplot as plt; plt.plot([1, 2]); plt.show()"
    own = "os.getpgid(0) == os.getpid()"
    tell = f"import os, __main__; print(os.environ['CMR_TRIED'], 'first' in vars(__main__), {own})"
    path = write(tmp_path / "a.ipynb", tell, "first = 1", draw, "import sys; print('torch' in sys.modules)")
    for _ in range(2):  # the second must not see the first's names
        run_notebook(path, tmp_path / "out.ipynb")
        assert printed(tmp_path / "out.ipynb").splitlines() == ["yes False True", str(warm)]
        assert "image/png" in (tmp_path / "out.ipynb").read_text()


@pytest.mark.slow
def test_a_notebooks_process_ends_with_the_one_that_asked_for_it(tmp_path):
    path = write(tmp_path / "a.ipynb", f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))")
    with path.open() as file:
        notebook = nbformat.read(file, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell("time.sleep(600)"))
    nbformat.write(notebook, path)
    script = tmp_path / "ask.py"
    script.write_text(
        "from cmr.study import kernel\nfrom cmr.study.notebooks import run_notebook\nkernel.IMPORTED = ()\n"
        f"if __name__ == '__main__':\n    run_notebook({str(path)!r}, {str(tmp_path / 'out.ipynb')!r})\n"
    )
    asked = subprocess.Popen([sys.executable, str(script)], start_new_session=True)
    try:
        wait_for(lambda: (tmp_path / "pid").is_file() and (tmp_path / "pid").read_text())
    finally:
        asked.kill()
        asked.wait()
    running = int((tmp_path / "pid").read_text())
    wait_for(lambda: not alive(running))


def wait_for(happens):
    end = time.monotonic() + 120
    while not happens():
        assert time.monotonic() < end
        time.sleep(0.05)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")  # one that has ended and that nobody has asked about still has a number
    return not (state.is_file() and state.read_text().rpartition(")")[2].split()[0] == "Z")


@pytest.mark.slow
def test_a_notebook_whose_process_dies_is_named(tmp_path):
    path = write(tmp_path / "a.ipynb", "import os; os._exit(1)")
    with pytest.raises(UserError, match=r"a\.ipynb: the notebook's process ended by itself"):
        run_notebook(path, tmp_path / "out.ipynb")
    assert not (tmp_path / "out.running.ipynb").exists()


def test_notebooks_run_in_order_and_what_is_current_is_skipped(tmp_path, capsys, monkeypatch):
    ran = []

    def fake(_, path, out):
        if path.stem == failing:
            raise UserError(f"{path}: fails")
        ran.append(path.stem)
        out.parent.mkdir(exist_ok=True)
        out.write_text(path.read_text())
        return 1.5

    monkeypatch.setattr(execute, "apart", fake)
    monkeypatch.setattr(execute, "elsewhere", lambda function: {"commit": "0123"})
    failing = ""
    record = tmp_path / "results" / "record.json"
    record.parent.mkdir()
    record.write_text("1")
    chain = "out: str = 'runs'  # one after another"
    paths = [write(tmp_path / name, "1", parameters=chain) for name in ("b.ipynb", "a.ipynb")]
    out = tmp_path / "executed"

    def names():
        ran.clear()
        done = run_notebooks(paths, out, [record.parent])
        assert done == [out / "b.ipynb", out / "a.ipynb"]
        return list(ran)

    assert names() == ["b", "a"]
    assert "2 to run, 0 current" in capsys.readouterr().out
    states = [json.loads((out / f"{name}.json").read_text()) for name in "ba"]
    assert len({state["call"] for state in states}) == 1
    assert all(state["call"] <= state["began"] and state["trained"] == 0 for state in states)
    assert states[0]["environment"] == {"commit": "0123"}
    assert names() == []
    assert "0 to run, 2 current" in capsys.readouterr().out
    write(paths[1], "2", parameters=chain)
    assert names() == ["a"]
    assert "a.ipynb begins, about 2 s" in capsys.readouterr().out
    record.write_text("2")
    assert names() == ["b", "a"]
    (out / "b.ipynb").unlink()
    assert names() == ["b"]
    (out / "b.json").write_text("{")
    assert names() == ["b"]

    record.write_text("3")
    failing = "a"
    with pytest.raises(UserError, match="a.ipynb: fails"):
        names()
    assert ran == ["b"]
    failing = ""
    assert names() == ["a"]


@pytest.mark.slow
def test_what_is_noted_of_the_machine_is_what_records_have():
    found = execute.elsewhere(execute.circumstances)
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert set(found) >= {"commit", "dirty", "cmr", "device"} and found["versions"]["torch"]


def test_trainings_that_a_notebook_leaves_are_counted_where_it_says(tmp_path):
    path = write(tmp_path / "notebooks" / "a.ipynb", parameters="out: str = '../runs'  # where runs go")
    for name in ("one", "unfinished"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    (tmp_path / "runs" / "one" / "record.json").write_text("{}")
    assert [p.parent.name for p in execute.finished_runs(path)] == ["one"]
    assert execute.finished_runs(write(tmp_path / "b.ipynb", parameters="results: str = 'r'  # records")) == set()


def test_notebooks_that_share_runs_form_one_chain_and_the_others_run_beside_them(tmp_path):
    train, read = "out: str = '../runs'  # where runs go", "results: str = 'r'  # records"
    own = "out: str = '../runs/own'  # where runs go"
    paths = [
        write(tmp_path / f"{name}.ipynb", parameters=source)
        for name, source in {"a": read, "b": train, "c": own, "d": train, "e": read}.items()
    ]
    jobs = [execute.Job(path, "", False, None) for path in paths]
    assert ["".join(job.path.stem for job in chain) for chain in execute.chains(jobs)] == ["bd", "c", "a", "e"]


def test_what_fails_beside_another_is_told_and_nothing_new_begins(tmp_path, monkeypatch):
    began = []

    def fake(_, path, out):
        began.append(path.stem)
        if path.stem in ("a", "b"):
            while len(began) < 2:
                time.sleep(0.01)
            raise UserError(f"{path.name}: fails")
        return 0.0

    monkeypatch.setattr(execute, "apart", fake)
    monkeypatch.setattr(execute, "elsewhere", lambda function: {"commit": "0123"})
    train, read = "out: str = '../runs'  # where runs go", "results: str = 'r'  # records"
    sources = {"a": train, "b": read, "c": train, "d": read}
    paths = [write(tmp_path / f"{name}.ipynb", parameters=source) for name, source in sources.items()]
    with pytest.raises(UserError) as raised:
        run_notebooks(paths, tmp_path / "out")
    assert sorted(str(raised.value).splitlines()) == ["a.ipynb: fails", "b.ipynb: fails"]
    assert sorted(began) == ["a", "b"]


def test_the_fingerprint_sees_cells_and_sources_but_not_stored_outputs(tmp_path):
    path = write(tmp_path / "a.ipynb", "1")
    before = fingerprint(path)
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[2].outputs = [nbformat.v4.new_output("stream", text="1")]
    nbformat.write(notebook, path)
    assert fingerprint(path) == before
    assert fingerprint(path, "other sources") != before
    write(path, "2")
    assert fingerprint(path) != before


def test_the_sources_are_known_by_name_and_content_and_by_how_they_look(tmp_path):
    folder = tmp_path / "cmr"

    def known() -> tuple[str, str]:
        return contents([folder]), look([folder])

    found = [known()]
    folder.mkdir()
    for name, text in {"a.py": "1", "b.py": "1"}.items():
        (folder / name).write_text(text)
        found.append(known())
    for kind in zip(*found, strict=True):
        assert len(set(kind)) == 3
    (folder / "a.py").write_text("2")
    assert contents([folder]) != found[-1][0] and look([folder]) != found[-1][1]
    (folder / "a.py").write_text("1")  # the same again, but at another time
    os.utime(folder / "a.py", ns=(1, 1))
    assert contents([folder]) == found[-1][0] and look([folder]) != found[-1][1]
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "a.pyc").write_text("1")
    assert contents([folder]) == found[-1][0]
    assert contents([folder / "a.py"]) != contents([folder / "b.py"])


def test_pairs_of_the_command_line():
    assert parse_parameters(["a=1", "b=x=y", "c=True", "d=[1, 2]", "e=1e-3", "f="]) == {
        "a": 1,
        "b": "x=y",
        "c": True,
        "d": [1, 2],
        "e": 0.001,
        "f": "",
    }
    assert parse_parameters(["a=0,1", "b=(9, 18)", "c='2011'", "d=__import__('os')", "e=" + "[" * 5000]) == {
        "a": [0, 1],
        "b": [9, 18],
        "c": "2011",
        "d": "__import__('os')",
        "e": "[" * 5000,
    }
    with pytest.raises(UserError, match="parameter 'epochs': is not NAME=VALUE; write it as epochs=VALUE"):
        parse_parameters(["epochs"])
