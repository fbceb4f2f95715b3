"""Reads the list that `sidetone --json scenario prompts` prints and speaks each text into a folder."""

import json
import os
import sys
import wave

import numpy
import ttspico

VOICES = {"de": "de-DE", "en": "en-US", "es": "es-ES", "fr": "fr-FR", "it": "it-IT"}
PICO_RATE = 16000
PEAK = 0.6


def main() -> None:
    folder = sys.argv[1]
    engines: dict[str, ttspico.TtsEngine] = {}
    for prompt in json.load(sys.stdin)["prompts"]:
        language = prompt["language"].split("-")[0]
        if language not in VOICES:
            sys.exit(f"no Pico voice speaks `{language}`; there are {', '.join(VOICES)}")
        engine = engines.setdefault(language, ttspico.TtsEngine(VOICES[language]))
        engine.rate = 112
        samples = speak(engine, " ".join(prompt["text"].split()))
        path = os.path.join(folder, prompt["file"])
        write(path, samples)
        print(f"{len(samples) / 8000:5.1f} s  {path}")


def speak(engine: "ttspico.TtsEngine", text: str) -> numpy.ndarray:
    wide = numpy.frombuffer(engine.speak(text), dtype="<i2").astype(float)
    if not wide.any():
        sys.exit(f"Pico said nothing for: {text}")
    narrow = halve(wide)
    loud = numpy.flatnonzero(numpy.abs(narrow) > 0.01 * numpy.abs(narrow).max())
    start = max(loud[0] - 400, 0)
    spoken = narrow[start : loud[-1] + 800]
    return spoken * (PEAK * 32767 / numpy.abs(spoken).max())


def halve(samples: numpy.ndarray) -> numpy.ndarray:
    """16 kHz to 8 kHz, with everything over 3.6 kHz filtered away first."""
    taps = numpy.arange(-63, 64)
    cutoff = 3600 / PICO_RATE
    kernel = 2 * cutoff * numpy.sinc(2 * cutoff * taps) * numpy.hamming(len(taps))
    return numpy.convolve(samples, kernel / kernel.sum(), mode="same")[::2]


def write(path: str, samples: numpy.ndarray) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with wave.open(path, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(PICO_RATE // 2)
        out.writeframes(numpy.clip(numpy.round(samples), -32768, 32767).astype("<i2").tobytes())


main()
