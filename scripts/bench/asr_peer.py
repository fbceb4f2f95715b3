"""faster-whisper's side of `sidetone bench asr`. Argument: the task's JSON file. Prints one JSON line."""

import json
import sys
import time

import numpy
from faster_whisper import WhisperModel

with open(sys.argv[1]) as file:
    task = json.load(file)
clips = [numpy.fromfile(clip["file"], dtype="<i2").astype(numpy.float32) / 32768 for clip in task["clips"]]
model = WhisperModel(
    task["model"], device="cpu", compute_type="int8", cpu_threads=1, num_workers=1, local_files_only=True
)


def hear(clip):
    segments, _ = model.transcribe(
        clip,
        language=task["language"],
        beam_size=1,
        best_of=1,
        temperature=0.0,
        without_timestamps=True,
        vad_filter=False,
        condition_on_previous_text=False,
    )
    return " ".join(segment.text.strip() for segment in segments)


hear(clips[0])
cpu, wall = time.process_time(), time.monotonic()
texts = [hear(clip) for clip in clips]
print(json.dumps({"cpu_s": time.process_time() - cpu, "wall_s": time.monotonic() - wall, "texts": texts}))
