"""The Python peer of `sidetone bench load`: a call bot's media side as such bots are usually written.

websockets takes the stream, a bounded asyncio queue parts the reader from the call's task, webrtcvad says voice or
not, NumPy the level. A call keeps a pre-roll, the audio that answer detection wants, the current utterance, and
whether somebody speaks; what happens is counted and logged. No recogniser.

Argument: how many calls. Prints a URL a call, then follows orders on stdin: go, mark, end.
"""

import asyncio
import collections
import json
import logging
import os
import resource
import sys
import tempfile
import time

import numpy as np
import webrtcvad
import websockets

RATE = 8000
FRAME_MS = 20
FRAME_BYTES = RATE * FRAME_MS // 1000 * 2
QUEUE = 250
PRE_ROLL = 12
AMD_BYTES = int(2.3 * RATE) * 2
UTTERANCE_BYTES = 12 * RATE * 2
ONSET = 5
HANGOVER = 15
MEDIA_LOST_S = 3.0

log = logging.getLogger("bot")


class Metrics:
    def __init__(self):
        self.frames = 0
        self.dropped = 0
        self.ended = 0
        self.utterances = 0


metrics = Metrics()


class Call:
    """One call: everything that is known of it, and the task that follows its audio."""

    def __init__(self, number):
        self.number = number
        self.vad = webrtcvad.Vad(2)
        self.queue = asyncio.Queue(maxsize=QUEUE)
        self.partial = bytearray()
        self.pre_roll = collections.deque(maxlen=PRE_ROLL)
        self.amd_audio = bytearray()
        self.amd_done = False
        self.utterance = bytearray()
        self.speaking = False
        self.voiced = 0
        self.silent = 0
        self.media_ms = 0
        self.level = -100.0
        self.noise = -60.0

    def receive(self, message):
        """The reader's side: never waits; the oldest goes where the call does not keep up."""
        if self.queue.full():
            self.queue.get_nowait()
            metrics.dropped += 1
        self.queue.put_nowait(message)

    async def run(self):
        while True:
            try:
                async with asyncio.timeout(MEDIA_LOST_S):
                    message = await self.queue.get()
            except TimeoutError:
                log.warning("call %d: no audio for %.0f s", self.number, MEDIA_LOST_S)
                continue
            if message is None:
                return
            if not self.partial and len(message) == FRAME_BYTES:
                self.frame(message)
                continue
            self.partial += message
            while len(self.partial) >= FRAME_BYTES:
                self.frame(bytes(self.partial[:FRAME_BYTES]))
                del self.partial[:FRAME_BYTES]

    def frame(self, pcm):
        self.media_ms += FRAME_MS
        samples = np.frombuffer(pcm, dtype=np.int16).astype(np.float32)
        rms = float(np.sqrt(np.mean(samples * samples)))
        self.level = 20.0 * np.log10(max(rms, 1.0) / 32768.0)
        voiced = self.vad.is_speech(pcm, RATE) and self.level > self.noise + 5.0
        if not voiced:
            self.noise += 0.05 * (self.level - self.noise)
        if not self.amd_done:
            self.answer_detection(pcm)
        self.follow(pcm, voiced)
        metrics.frames += 1

    def answer_detection(self, pcm):
        self.amd_audio += pcm
        if len(self.amd_audio) >= AMD_BYTES:
            self.amd_done = True
            log.info("call %d: answer window complete at %d ms", self.number, self.media_ms)
            self.amd_audio = bytearray()

    def follow(self, pcm, voiced):
        if voiced:
            self.voiced += 1
            self.silent = 0
        else:
            self.silent += 1
            if not self.speaking:
                self.voiced = 0
        if not self.speaking:
            self.pre_roll.append(pcm)
            if self.voiced >= ONSET:
                self.speaking = True
                self.utterance = bytearray(b"".join(self.pre_roll))
                self.pre_roll.clear()
                log.info("call %d: speech started at %d ms", self.number, self.media_ms)
            return
        if len(self.utterance) < UTTERANCE_BYTES:
            self.utterance += pcm
        if self.silent >= HANGOVER:
            self.speaking = False
            self.voiced = 0
            metrics.utterances += 1
            log.info("call %d: speech ended at %d ms, %d bytes", self.number, self.media_ms, len(self.utterance))
            self.utterance = bytearray()


calls = 0


async def serve(socket):
    global calls
    calls += 1
    call = Call(calls)
    task = asyncio.create_task(call.run())
    try:
        async for message in socket:
            if isinstance(message, bytes):
                call.receive(message)
    except websockets.ConnectionClosed:
        pass
    finally:
        metrics.ended += 1
        task.cancel()


def resident_kb():
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    return 0


def prepare():
    """The same core, priority and file limit as the other servers have."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -15)
    except PermissionError:
        pass


async def main(count, folder):
    prepare()
    logging.basicConfig(filename=os.path.join(folder, "bot.log"), level=logging.INFO,
                        format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("websockets").setLevel(logging.WARNING)
    async with websockets.serve(serve, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        base = resident_kb()
        port = server.sockets[0].getsockname()[1]
        for _ in range(count):
            print(f"ws://127.0.0.1:{port}/", flush=True)
        loop = asyncio.get_running_loop()
        begun = (time.process_time(), time.monotonic())
        while line := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
            if line == "mark":
                begun = (time.process_time(), time.monotonic())
            elif line == "end":
                print(json.dumps({
                    "cpu_s": time.process_time() - begun[0],
                    "wall_s": time.monotonic() - begun[1],
                    "frames": metrics.frames,
                    "dropped": metrics.dropped,
                    "base_kb": base,
                    "live_kb": resident_kb(),
                    "p50_ms": 0.0,
                    "p99_ms": 0.0,
                    "max_ms": 0.0,
                    "ended": metrics.ended,
                }), flush=True)
                break


with tempfile.TemporaryDirectory() as folder:
    asyncio.run(main(int(sys.argv[1]), folder))
