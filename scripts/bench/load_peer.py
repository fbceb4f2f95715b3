"""The Python peer of `sidetone bench load`: websockets and webrtcvad, as call bots are usually written.

Argument: how many calls. Prints a URL a call, then follows orders on stdin: go, mark, end.
"""

import asyncio
import json
import os
import sys
import time

import webrtcvad
import websockets

FRAME = 320
frames = 0
ended = 0


def resident_kb():
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    return 0


async def call(socket):
    global frames, ended
    vad = webrtcvad.Vad(2)
    buffer = bytearray()
    try:
        async for message in socket:
            if not isinstance(message, bytes):
                continue
            buffer.extend(message)
            while len(buffer) >= FRAME:
                vad.is_speech(bytes(buffer[:FRAME]), 8000)
                del buffer[:FRAME]
                frames += 1
    finally:
        ended += 1


async def main(calls):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -15)
    except PermissionError:
        pass
    async with websockets.serve(call, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        base = resident_kb()
        port = server.sockets[0].getsockname()[1]
        for _ in range(calls):
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
                    "frames": frames,
                    "dropped": 0,
                    "base_kb": base,
                    "live_kb": resident_kb(),
                    "p50_ms": 0.0,
                    "p99_ms": 0.0,
                    "max_ms": 0.0,
                    "ended": ended,
                }), flush=True)
                break
        os._exit(0)


asyncio.run(main(int(sys.argv[1])))
