// The worker behind the page that stops, breaks or falls silent: whatever was asked ends, and the
// next opening has a new one.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Asker } from "../assets/ask.js";

/** Workers that do what a test says. */
function played() {
  const started = [];
  const start = () => {
    const worker = new EventTarget();
    Object.assign(worker, {
      asked: [],
      isEnded: false,
      postMessage: (question) => worker.asked.push(question),
      terminate: () => {
        worker.isEnded = true;
      },
      say: (data) => worker.dispatchEvent(new MessageEvent("message", { data })),
    });
    started.push(worker);
    return worker;
  };
  return { asker: new Asker(start), started };
}

test("what is cancelled is told to the worker, and no more once it is answered", async () => {
  const { asker, started } = played();
  const [one, other] = [new AbortController(), new AbortController()];
  const asked = [one, other].map(({ signal }) => asker.ask("verify", {}, () => {}, signal));
  const [worker] = started;
  const [first, second] = worker.asked.map(({ id }) => id);
  one.abort();
  assert.deepEqual(worker.asked.at(-1), { cancel: first });
  worker.say({ id: first, fault: { name: "Cancelled", message: "it was cancelled" } });
  await assert.rejects(asked[0], { name: "Cancelled" });
  worker.say({ id: second, result: 7 });
  assert.equal(await asked[1], 7);
  const before = worker.asked.length;
  other.abort();
  assert.equal(worker.asked.length, before);
});

const stopped = { name: "Error", kind: "stopped" };

test("a question has its own answer, and what is told meanwhile", async () => {
  const { asker, started } = played();
  const told = [];
  const answers = [asker.ask("a", 1, (one) => told.push(one)), asker.ask("b", 2)];
  const [worker] = started;
  const [first, second] = worker.asked.map(({ id }) => id);
  worker.say({ id: second, fault: { name: "Broken", item: "x", message: "m" } });
  worker.say({ id: first, progress: 1 });
  worker.say({ id: first, result: 7 });
  assert.equal(await answers[0], 7);
  await assert.rejects(answers[1], { name: "Broken", item: "x", message: "m" });
  assert.deepEqual(told, [1]);
});

test("a worker that stopped answers nothing more until the page is opened", async () => {
  for (const how of ["error", "messageerror"]) {
    const { asker, started } = played();
    const waiting = asker.ask("verify", {});
    started[0].dispatchEvent(new Event(how));
    await assert.rejects(waiting, stopped);
    await assert.rejects(asker.ask("refresh", {}), stopped);
    assert.deepEqual([started.length, started[0].isEnded], [1, true]);
    const opened = asker.ask("open", {});
    assert.equal(started.length, 2);
    // What the one that was ended still had to say, or its end, is of no question any more.
    started[0].say({ id: started[1].asked[0].id, result: "old" });
    started[0].dispatchEvent(new Event("error"));
    started[1].say({ id: started[1].asked[0].id, result: "new" });
    assert.equal(await opened, "new");
    asker.ask("refresh", {});
    assert.equal(started[1].asked.length, 2);
  }
});

test("one that says nothing for long is stopped, but not if it is asked nothing", async () => {
  const { asker, started } = played();
  const ticks = (number) => {
    for (let left = number; left > 0; left--) asker.tick();
  };
  ticks(100);
  const waiting = asker.ask("verify", {});
  ticks(17);
  started[0].say({});
  ticks(17);
  assert.equal(started[0].isEnded, false);
  ticks(1);
  assert.equal(started[0].isEnded, true);
  await assert.rejects(waiting, stopped);
});
