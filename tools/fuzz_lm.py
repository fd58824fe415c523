"""Feeds random and spoilt bytes to every reader of language models: `python tools/fuzz_lm.py [--count N] [READER ...]`.

The compiled half is built anew under AddressSanitizer and UBSan. Each case is a file: random bytes, or a sound file
with a few changes (for our own form mostly with the checksum made right again, so that the checks behind it are
reached). A reader must give a model, which is then used in every way, or one InputError; anything else is a finding,
and its bytes are kept. Readers: arpa, gz, kenlm, own, and text, which is what the trainer reads.
"""

import argparse
import ctypes
import gzip
import math
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
FLAGS = "-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g1 -O1"
READERS = ("arpa", "gz", "kenlm", "own", "text")
NUMBERS = (b"nan", b"inf", b"-inf", b"1e999", b"-1e-999", b"0", b"-0", b"99999999999999999999", b"-1", b"4294967295")
PIECES = (
    b"\\data\\",
    b"\\end\\",
    b"\\2-grams:",
    b"ngram 2=",
    b"<s>",
    b"</s>",
    b"<unk>",
    b"<UNK>",
    b"\t",
    b" ",
    b"\n",
    b"\0",
)


def main() -> int:
    """Start this file again with the sanitizers' library loaded, which must come first."""
    if os.environ.get("KARUSSELL_SANITIZED"):
        return work(sys.argv[1:])
    tool = os.environ.get("CXX", "g++")
    found = [library_of(tool, name) for name in ("libasan.so", "libstdc++.so")]
    if "/" not in found[0]:
        print(f"{tool} has no libasan.so, so nothing can be checked; install gcc's sanitizers")
        return 2
    # memory, where there is such a folder: every case is a file or more
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        environment = {
            **os.environ,
            "KARUSSELL_SANITIZED": folder,
            "KARUSSELL_HOME": os.environ.get("KARUSSELL_FUZZ_HOME", f"{folder}/home"),
            "KARUSSELL_CXXFLAGS": FLAGS,
            # the second, because the first looks for what throws exceptions as soon as it is loaded
            "LD_PRELOAD": " ".join(found),
            # the interpreter itself keeps memory to its end
            "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0:allocator_may_return_null=1",
            "UBSAN_OPTIONS": "print_stacktrace=1",
            "PYTHONPATH": str(ROOT / "tests" / "ctc"),
        }
        status = subprocess.run([sys.executable, __file__, *sys.argv[1:]], env=environment).returncode
        if status not in (0, 2):
            kept = Path(tempfile.gettempdir()) / f"fuzz-lm-{os.getpid()}"
            kept.write_bytes((Path(folder) / "case").read_bytes())
            print(f"the file that did it is kept as {kept}")
        return status


def library_of(tool: str, name: str) -> str:
    """Where a compiler has one of its libraries; the bare name if it has it not."""
    return subprocess.run([tool, f"-print-file-name={name}"], capture_output=True, text=True).stdout.strip()


def work(words: list[str]) -> int:
    """Run the cases; a finding of the sanitizers ends the process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("readers", nargs="*", metavar="READER", help=f"of {', '.join(READERS)}; all by default")
    parser.add_argument("--count", type=int, default=100_000, help="cases a reader")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(words)
    if unknown := set(given.readers) - set(READERS):
        print(f"no reader is called {sorted(unknown)[0]!r}; there are {', '.join(READERS)}")
        return 2
    folder = Path(os.environ["KARUSSELL_SANITIZED"])
    for reader in given.readers or READERS:
        fuzz(reader, given.count, given.seed, folder)
    return 0


def fuzz(reader: str, count: int, seed: int, folder: Path) -> None:
    """All cases of one reader."""
    from karussell.errors import InputError

    generator = random.Random(f"{reader} {seed}")
    sound = seeds(reader, folder)
    outcomes: Counter[str] = Counter()
    case = folder / "case"
    for number in range(count):
        data = spoil(generator, reader, sound)
        case.write_bytes(data)
        try:
            read(reader, data, folder, generator)
            outcomes["read"] += 1
        except InputError as error:
            if "\n" in str(error):
                raise AssertionError(f"more than one line: {error}") from error
            outcomes["refused"] += 1
        except BaseException:
            print(f"{reader}: case {number} of seed {seed}", flush=True)
            raise
    print(
        f"{reader}: {count:,} cases, {outcomes['refused']:,} refused, {outcomes['read']:,} read, no finding", flush=True
    )
    return True


def seeds(reader: str, folder: Path) -> list[bytes]:
    """Sound files, small so that a change hits something."""
    from lm_texts import FALLBACK, sentences

    from karussell.ctc.lm import train

    if reader == "text":
        return ["\n".join(sentences(20, seed=n)).encode() for n in range(4)]
    if reader == "kenlm":
        return [(ROOT / "tests" / "ctc" / "lm_files" / "small.kenlm").read_bytes()]
    ending = {"arpa": "arpa", "gz": "arpa.gz", "own": "ngram"}[reader]
    made = []
    for order in (1, 2, 3, 4):
        model = train(sentences(6, seed=order), order, discount_fallback=FALLBACK, closed=order == 2).model
        model.save(folder / f"model.{ending}")
        made.append((folder / f"model.{ending}").read_bytes())
    return made


def spoil(generator: random.Random, reader: str, sound: list[bytes]) -> bytes:
    """One case."""
    if generator.random() < 0.1:
        data = generator.randbytes(generator.randrange(600))
        return (
            generator.choice((b"", b"\x1f\x8b\x08", b"KRLNGRAM\1\0\0\0", sound[0][:88], b"\\data\\\nngram 1=")) + data
        )
    original = generator.choice(sound)
    if reader == "gz" and generator.random() < 0.5:
        return gzip.compress(change(generator, "arpa", gzip.decompress(original), sound), 1)
    data = change(generator, reader, original, sound)
    if reader == "own" and generator.random() < 0.9:
        from karussell.ctc.lm import native

        data = data[:16] + len(data).to_bytes(8, "little") + data[24:] if generator.random() < 0.5 else data
        data = data[:24] + native.library().ngram_sign(data, len(data)).to_bytes(8, "little") + data[32:]
    return data


def change(generator: random.Random, reader: str, original: bytes, sound: list[bytes]) -> bytes:
    """A few changes to a sound file."""
    data = bytearray(original)
    text = reader in ("arpa", "text")
    for _ in range(generator.choice((1, 1, 1, 2, 3, 8))):
        at = generator.randrange(len(data) + 1)
        size = generator.choice((1, 2, 4, 8, 30))
        match generator.randrange(9 if text else 7):
            case 0 if at < len(data):
                data[at] ^= 1 << generator.randrange(8)
            case 1:
                data[at : at + 1] = bytes([generator.choice((0, 1, 9, 10, 32, 127, 128, 255))])
            case 2:
                value = generator.choice((0, 1, 2, 2**31 - 1, 2**31, 2**32 - 1, 0x7FC00000, 0x7F800000, 5, 300))
                at = at // 4 * 4
                data[at : at + 4] = value.to_bytes(4, "little")
            case 3:
                del data[at : at + size]
            case 4:
                data[at:at] = generator.randbytes(size)
            case 5:
                other = generator.choice(sound)
                begin = generator.randrange(len(other))
                data[at : at + size] = other[begin : begin + size]
            case 6 if generator.random() < 0.2:
                del data[at:]
            case 7:
                data[at : at + generator.choice((0, size))] = generator.choice(PIECES)
            case 8:
                data[at : at + size] = generator.choice(NUMBERS)
    return bytes(data)


def read(reader: str, data: bytes, folder: Path, generator: random.Random) -> None:
    """What a person would do with a file; binaries also in memory that ends exactly where they do."""
    from karussell.ctc.lm import LanguageModel, native, train

    case = folder / "case"
    if reader == "text":
        made = train(case, 3, discount_fallback=(0.5, 1, 1.5), memory=1 << 16, scratch=folder)
        use(folder, made.model, generator)
        return
    if reader in ("own", "kenlm"):
        libc, library = ctypes.CDLL(None), native.library()
        libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = (
            ctypes.c_void_p,
            [ctypes.c_size_t],
            [ctypes.c_void_p],
        )
        place = libc.malloc(len(data))
        ctypes.memmove(place, data, len(data))
        try:
            handle = ctypes.c_void_p()
            native.check(library.ngram_open(place, len(data), 1, ctypes.byref(handle)), reader)
            exact(library, handle, generator)
            library.ngram_close(handle)
        finally:
            libc.free(place)
    use(folder, LanguageModel.load(case, memory=1 << 16, scratch=folder), generator)


def exact(library: ctypes.CDLL, handle: ctypes.c_void_p, generator: random.Random) -> None:
    """Walk at random through a model that lies in memory of its own."""
    from karussell.ctc.lm import native

    facts, state = native.Facts(), native.State()
    library.ngram_facts(handle, facts)
    library.ngram_begin(handle, state)
    for _ in range(60):
        assert math.isfinite(library.ngram_score(handle, state, generator.randrange(facts.words), state))
    library.ngram_find(handle, b"zebra", 5)


def use(folder: Path, model: "LanguageModel", generator: random.Random) -> None:  # noqa: F821
    """Everything that a model can be asked."""
    words = list(model.vocabulary)
    for _ in range(3):
        found = model.scores([generator.choice(words) for _ in range(12)])
        assert all(math.isfinite(p) for p in found)
    assert all(model.number(word) == number for number, word in enumerate(words[:50]))
    if model.counts:
        model.worst_sum()
        model.save(folder / "used.arpa")


if __name__ == "__main__":
    sys.exit(main())
