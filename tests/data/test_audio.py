from pathlib import Path

import numpy as np
import pytest
import soundfile

from karussell.data import Utterance, audio_seconds, read_audio, write_audio
from karussell.errors import InputError

SUBTYPE = {"wav": "PCM_16", "flac": "PCM_16", "ogg": None, "mp3": None}
CLOSE = {"wav": 2e-3, "flac": 2e-3, "ogg": 0.1, "mp3": 0.1}


def tone(rate: int, seconds: float = 1.0, hz: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


@pytest.mark.parametrize("form", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
def test_reads_every_format_at_every_rate(tmp_path: Path, form: str, rate: int) -> None:
    path = tmp_path / f"a.{form}"
    soundfile.write(path, tone(rate), rate, subtype=SUBTYPE[form])
    audio = read_audio(path, 8000)
    assert audio.samples.dtype == np.float32
    assert (audio.rate, audio.source_rate, audio.channels) == (8000, rate, 1)
    assert audio.resampled == (rate != 8000)
    assert audio.seconds == pytest.approx(1.0, abs=0.06)
    assert audio_seconds(path) == pytest.approx(1.0, abs=0.06)
    # the middle, where neither the codec's nor the resampler's ends reach, up to the codec's shift
    middle = audio.samples[2000:6000]
    shifts = [np.abs(middle - tone(8000)[2000 + k : 6000 + k]).max() for k in range(19)]
    assert min(shifts) < CLOSE[form]


def test_a_file_at_the_rate_is_read_bit_for_bit(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).integers(-32768, 32767, 8000, dtype=np.int16)
    soundfile.write(tmp_path / "a.wav", samples, 8000)
    assert np.array_equal(read_audio(tmp_path / "a.wav").samples * 32768, samples.astype(np.float32))


def test_two_channels_are_averaged(tmp_path: Path) -> None:
    left, right = tone(8000, hz=200), tone(8000, hz=300)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], axis=1), 8000, subtype="FLOAT")
    audio = read_audio(tmp_path / "a.wav")
    assert audio.channels == 2
    assert np.allclose(audio.samples, (left + right) / 2, atol=1e-6)


def test_blocks_make_no_seams(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(16000, 70.0, hz=100.0), 16000, subtype="FLOAT")
    samples = read_audio(tmp_path / "a.wav", 8000).samples
    assert len(samples) == 70 * 8000
    assert np.allclose(samples[100:-100], tone(8000, 70.0, hz=100.0)[100:-100], atol=1e-3)


def test_a_cut(tmp_path: Path) -> None:
    whole = tone(8000, 3.0)
    soundfile.write(tmp_path / "a.flac", whole, 8000)
    part = read_audio(tmp_path / "a.flac", start=1.0, seconds=0.5).samples
    assert np.allclose(part, whole[8000:12000], atol=1e-4)
    with pytest.raises(InputError, match="cannot start at 4 s"):
        read_audio(tmp_path / "a.flac", start=4.0)


@pytest.mark.parametrize("form", ["wav", "flac", "ogg", "mp3"])
def test_writes_what_it_reads(tmp_path: Path, form: str) -> None:
    write_audio(tmp_path / f"a.{form}", tone(16000), 16000)
    audio = read_audio(tmp_path / f"a.{form}", 16000)
    assert np.abs(audio.samples).max() == pytest.approx(0.5, abs=0.05)
    with pytest.raises(InputError, match="ending"):
        write_audio(tmp_path / "a.xyz", tone(8000), 8000)
    with pytest.raises(InputError, match="finite"):
        write_audio(tmp_path / "b.wav", np.array([np.nan]), 8000)


class TestBadAudio:
    """Every kind of unusable file is one sentence that names it."""

    def refused(self, path: Path, match: str) -> None:
        with pytest.raises(InputError, match=match) as caught:
            read_audio(path)
        assert path.name in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_missing(self, tmp_path: Path) -> None:
        self.refused(tmp_path / "none.wav", "there is no audio file")

    def test_folder(self, tmp_path: Path) -> None:
        self.refused(tmp_path, "is a folder")

    def test_zero_bytes(self, tmp_path: Path) -> None:
        (tmp_path / "a.wav").touch()
        self.refused(tmp_path / "a.wav", "0 bytes")

    @pytest.mark.parametrize("form", ["wav", "flac", "ogg", "mp3"])
    def test_not_audio(self, tmp_path: Path, form: str) -> None:
        (tmp_path / f"a.{form}").write_bytes(b"these are words, not waves. " * 50)
        self.refused(tmp_path / f"a.{form}", "cannot be read as audio|needed at least|breaks off")

    @pytest.mark.parametrize("form", ["wav", "flac", "ogg"])
    def test_zero_samples(self, tmp_path: Path, form: str) -> None:
        soundfile.write(tmp_path / f"a.{form}", np.zeros(0), 8000)
        self.refused(tmp_path / f"a.{form}", "0.000 s long|cannot be read as audio|0 bytes")

    @pytest.mark.parametrize("form", ["wav", "flac"])
    def test_a_hundredth_of_a_second(self, tmp_path: Path, form: str) -> None:
        soundfile.write(tmp_path / f"a.{form}", tone(8000, 0.01), 8000)
        self.refused(tmp_path / f"a.{form}", r"0.010 s long, needed at least 0.05 s")

    @pytest.mark.parametrize("form", ["flac", "ogg", "mp3"])
    def test_broken_off(self, tmp_path: Path, form: str) -> None:
        noise = np.random.default_rng(0).uniform(-0.5, 0.5, 80000)
        soundfile.write(tmp_path / f"a.{form}", noise, 8000)
        content = (tmp_path / f"a.{form}").read_bytes()
        (tmp_path / f"a.{form}").write_bytes(content[: len(content) // 2])
        if form == "ogg":
            # it does not say how long it should be: half a file is a shorter file
            assert read_audio(tmp_path / "a.ogg").seconds < 6
        else:
            self.refused(tmp_path / f"a.{form}", "breaks off|cannot be read")

    @pytest.mark.parametrize("channels", [3, 8])
    def test_many_channels(self, tmp_path: Path, channels: int) -> None:
        soundfile.write(tmp_path / "a.wav", np.zeros((8000, channels)), 8000)
        self.refused(tmp_path / "a.wav", f"has {channels} channels, needed 1 or 2")

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_not_numbers(self, tmp_path: Path, value: float) -> None:
        samples = tone(16000)
        samples[7000] = value
        soundfile.write(tmp_path / "a.wav", samples, 16000, subtype="FLOAT")
        self.refused(tmp_path / "a.wav", "not numbers")

    def test_integers_stored_as_floats(self, tmp_path: Path) -> None:
        soundfile.write(tmp_path / "a.wav", tone(8000) * 32768, 8000, subtype="FLOAT")
        self.refused(tmp_path / "a.wav", "needed -1 to 1")

    def test_five_hours(self, tmp_path: Path) -> None:
        with soundfile.SoundFile(tmp_path / "a.flac", "w", samplerate=1000, channels=1) as file:
            for _ in range(5):
                file.write(np.zeros(3600 * 1000, np.int16))
        self.refused(tmp_path / "a.flac", "5.0 hours long")
        assert read_audio(tmp_path / "a.flac", 1000, start=3600.0, seconds=2.0).seconds == 2.0


def test_a_small_overshoot_is_clipped(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(8000) * 2.2, 8000, subtype="FLOAT")
    assert np.abs(read_audio(tmp_path / "a.wav").samples).max() == 1.0


def test_an_utterance_holds_samples_or_a_file(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(16000), 16000, subtype="FLOAT")
    file = Utterance("f", tmp_path / "a.wav", "a")
    memory = Utterance("m", tone(16000), "a", rate=16000)
    assert file.seconds() == memory.seconds() == 1.0
    assert np.allclose(file.samples(8000)[100:-100], memory.samples(8000)[100:-100], atol=1e-3)
    assert np.array_equal(file.loaded(8000).samples(8000), file.samples(8000))
    for samples, match in (
        (np.zeros((100, 2)), "one row"),
        (np.zeros(8000, np.int16), "divide 16-bit samples"),
        (np.zeros(10), "needed at least"),
        (np.full(8000, np.nan), "not numbers"),
    ):
        with pytest.raises(InputError, match=match):
            Utterance("m", samples, "a", rate=8000).samples(8000)
    with pytest.raises(InputError, match="without a rate"):
        Utterance("m", tone(8000), "a").samples(8000)
