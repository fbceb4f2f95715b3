"""When the words of clips end, by faster-whisper's alignment. Argument: a JSON file. Prints one JSON line."""

import json
import sys

import numpy
from faster_whisper import WhisperModel

with open(sys.argv[1]) as file:
    task = json.load(file)
model = WhisperModel(task["model"], device="cpu", compute_type="int8", local_files_only=True)
found = []
for clip in task["clips"]:
    audio = numpy.fromfile(clip["file"], dtype="<i2").astype(numpy.float32) / 32768
    segments, _ = model.transcribe(
        audio, language=task["language"], beam_size=5, word_timestamps=True, condition_on_previous_text=False
    )
    found.append([(word.end, word.word) for segment in segments for word in segment.words])
print(json.dumps(found))
