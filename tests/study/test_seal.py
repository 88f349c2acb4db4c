"""A record, a model or a checkpoint that was damaged is not taken for whole."""

import json
import random
import shutil
from contextlib import suppress

import pytest
import torch

from cmr import cli
from cmr.errors import UserError
from cmr.presets import make
from cmr.study import models, records, runs, training
from cmr.study.seal import CHECKSUM, sealed, whole

CONFIG = make("tiny", method="cam", device="cpu", epochs=1, data_settings={"train": 32, "test": 8})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return training.train(CONFIG, tmp_path_factory.mktemp("runs"), progress=False)


@pytest.fixture
def copy(finished, tmp_path):
    return runs.read(shutil.copytree(finished.path, tmp_path / finished.id))


def test_a_seal_knows_every_value_and_no_layout():
    record = sealed({"id": "a", "result": {"PxAP": 50.5, "curves": [0.1, 1e-7, -0.0]}, "classes": ("ä", "b")})
    assert whole(json.loads(json.dumps(record, indent=3)))
    assert whole(json.loads(json.dumps(record, sort_keys=True, ensure_ascii=False)))
    for name, value in {"id": "b", "result": {}, "classes": ["ä"], CHECKSUM: "0" * 16, "more": 1}.items():
        assert not whole({**record, name: value})


def test_a_changed_number_is_refused_until_the_checksum_is_taken_out(copy):
    path = copy.path / runs.RECORD
    text = path.read_text()
    record = json.loads(text)
    assert list(record)[-1] == CHECKSUM
    path.write_text(text.replace(f'"GT-known Loc": {record["result"]["GT-known Loc"]}', '"GT-known Loc": 99.9'))
    with pytest.raises(UserError, match="its values do not fit its checksum, so it was damaged or edited"):
        runs.read(copy.path)
    assert "do not fit its checksum" in runs.find_good(copy.path)[1][0]
    edited = json.loads(path.read_text())
    del edited[CHECKSUM]
    path.write_text(json.dumps(edited))
    assert runs.read(copy.path).result.gt_known_loc == 99.9


def test_no_flipped_bit_of_a_record_gives_another_number(copy):
    path, draw = copy.path / runs.RECORD, random.Random(0)
    whole_one, right = path.read_bytes(), copy.result
    for _ in range(200):
        damaged = bytearray(whole_one)
        damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        with suppress(UserError):
            assert runs.read(copy.path).result == right


def test_another_model_than_the_records_is_refused(copy):
    path = copy.path / runs.MODEL
    content = bytearray(path.read_bytes())
    content[-1] ^= 1  # still a file that can be read
    path.write_bytes(content)
    with pytest.raises(UserError, match="cannot be read .it is not the one that the record's numbers were made with"):
        models.load_method(copy, 4)


@pytest.mark.parametrize("damage", [lambda content: b"", lambda content: content[:-9], lambda content: content[::-1]])
def test_damaged_outcomes_are_named(copy, damage):
    path = copy.path / records.OUTCOMES
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match="outcomes.safetensors.xz: cannot be read"):
        runs.read(copy.path).outcomes()
    path.unlink()
    with pytest.raises(UserError, match="there is no such file; it lies beside the record"):
        runs.read(copy.path).outcomes()


def test_a_flipped_bit_in_a_checkpoint_is_noticed(tmp_path):
    layer = torch.nn.Linear(64, 64)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    path = tmp_path / runs.CHECKPOINT
    training.save_checkpoint(path, layer, optimizer, [], 1.5)
    content = path.read_bytes()
    at = content.index(layer.weight.detach().numpy().tobytes()[:32])
    path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    fabric = training.make_fabric(CONFIG)
    with pytest.raises(UserError, match="the checkpoint cannot be read .* does not fit its checksum"):
        training.load_checkpoint(path, layer, optimizer, fabric)
    path.write_bytes(content)
    assert training.load_checkpoint(path, layer, optimizer, fabric) == ([], 1.5)


def test_a_run_whose_making_again_was_cut_short_says_where_it_is(copy):
    again = copy.path.with_name(f"{copy.id}{runs.RERUN}")
    copy.path.rename(again)
    copy.path.mkdir()
    with pytest.raises(UserError, match="has one that was made again: the same cmr train command puts it in its place"):
        runs.read(copy.path)


def test_what_a_kill_at_the_very_end_left_is_cleared_by_the_next_call(copy, finished):
    (copy.path / runs.CHECKPOINT).write_bytes(b"the last")
    lock = copy.path.with_name(f".{copy.id}.lock")
    lock.touch()
    again = training.train(CONFIG, copy.path.parent, progress=False)
    assert again.record == finished.record
    assert not lock.exists() and not (copy.path / runs.CHECKPOINT).exists()


def test_a_run_without_room_for_its_checkpoints_is_refused_before_it_trains(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"total": 10**9, "free": 1000}))
    monkeypatch.setattr(training, "fit", None)
    with pytest.raises(SystemExit):
        cli.main(["train", "--preset", "tiny", "--method", "cam", "--device", "cpu", "--out", str(tmp_path)])
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("cmr: ") and "0.0 MB are free there, but this run, with its checkpoints" in message
