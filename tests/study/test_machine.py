"""What a record says of the machine holds no path of it."""

from cmr.study import machine


def test_the_command_line_without_paths(monkeypatch):
    monkeypatch.setattr("sys.argv", ["/some/where/cmr", "train", "--preset", "tiny"])
    assert machine.command_line() == "cmr train --preset tiny"
    monkeypatch.setattr("sys.argv", ["cmr", "train", "--out", "/home/me/my runs", "--weights=/w/a.pth", "--lr", "0.1"])
    assert machine.command_line() == "cmr train --out 'my runs' --weights=a.pth --lr 0.1"
    monkeypatch.setattr("sys.argv", ["/some/where/ipykernel_launcher.py", "-f", "/x.json"])
    assert machine.command_line() == "notebook"
