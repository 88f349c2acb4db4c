"""MathJax as one file, from npm when it is there: pages then draw their formulas without a network."""

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "mathjax@3.2.2"
# with all of TeX's extensions inside: the smaller tex-svg.js fetches some of them when a formula needs them
MEMBERS = {
    "package/es5/tex-svg-full.js": "a4354ff94fd868aea0cc6eaaa79a57fda0588646fc46ee3700a349ee0a11cbe6",
    "package/LICENSE": None,
}


def fetch(cache: Path) -> Path | None:
    """The folder that holds MathJax and its licence, fetched once into `cache`.

    Args:
        cache: a folder of the book's that git ignores.

    Returns:
        The folder, or None where npm is not there or cannot fetch; the reason is printed.

    Raises:
        ValueError: npm gave another file than the one that is known.
    """
    folder = cache / PACKAGE
    if all((folder / Path(member).name).is_file() for member in MEMBERS):
        return folder
    npm = shutil.which("npm")
    if npm is None:
        print("MathJax: npm is not installed; the pages will need a network to draw formulas", flush=True)
        return None
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as aside:
        command = [npm, "pack", PACKAGE, "--silent", "--fetch-retries=1", "--pack-destination", aside]
        try:
            done = subprocess.run(command, cwd=aside, capture_output=True, text=True, timeout=120)
        except subprocess.TimeoutExpired:
            print(
                "MathJax: npm did not answer in 2 minutes; the pages will need a network to draw formulas", flush=True
            )
            return None
        archives = list(Path(aside).glob("*.tgz"))
        if done.returncode or not archives:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            print(f"MathJax: npm failed ({reason}); the pages will need a network to draw formulas", flush=True)
            return None
        made = Path(aside) / "made"
        made.mkdir()
        unpack(archives[0], made)
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)
    return folder


def unpack(archive: Path, folder: Path) -> None:
    """Takes the few files that are needed out of npm's archive, and checks them.

    Raises:
        ValueError: a file is missing or is not the known one.
    """
    with tarfile.open(archive) as packed:
        for member, known in MEMBERS.items():
            try:
                content = packed.extractfile(member).read()
            except KeyError:
                raise ValueError(f"{PACKAGE} holds no {member}") from None
            digest = hashlib.sha256(content).hexdigest()
            if known is not None and digest != known:
                raise ValueError(f"{PACKAGE}: {member} has SHA-256 {digest}, expected {known}")
            (folder / Path(member).name).write_bytes(content)
