// The desk and the batches of a real node: `sequencer run --dev`, as somebody tries it out.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { ERASURES, HEALTH } from "../../tests/played-desk.mjs";
import { picture, press, program, seen, start, text } from "./support.mjs";

export const title = "a real node, and its own pages";

export async function begin() {
  const node = start(program("sequencer"), ["run", "--dev"]);
  try {
    const [, file] = await node.line(/^The token that its desk asks for stands in (\S+)\.$/);
    const [, url] = await node.line(/^page +(http:\S+) shows batches/);
    return { url, token: readFileSync(file, "utf8"), stop: node.stop };
  } catch (error) {
    await node.stop();
    throw error;
  }
}

const open = async ({ url }) => ({ url });

export const journeys = [
  {
    name: "the desk is what the node says of itself, and its open window stands above its batches",
    open,
    at: "desk.html",
    // Before the token is given.
    expects: [/401/],
    async act(page, { world: { token } }) {
      await page.getByLabel("Token of web.token_file").fill(token);
      await press(page, "Open the desk");
      await seen(page, /^Ready: all [0-9]+ stages run\. Counted since/);
      // Of the first points: a node counts nothing in its first ten seconds.
      await page.locator('[title="free_bytes"] .value', { hasText: "MiB" }).waitFor();
      const answer = await page.evaluate(async () => await (await fetch("/desk")).json());
      // What is played in other journeys has the form of this.
      assert.deepEqual(Object.keys(answer.health), Object.keys(HEALTH).sort());
      assert.deepEqual(Object.keys(answer.erasures), Object.keys(ERASURES).sort());
      await seen(page, "Nobody asks to be erased, and nobody is, as far as the node says.");
      const shown = await page.locator("dl.figures [title]").evaluateAll((all) =>
        all.map(({ title }) => title),
      );
      const told = Object.keys(answer.now).filter((name) => !/_max$|^at_unix_ms$/.test(name));
      assert.deepEqual(shown.toSorted(), told.toSorted());
      await picture(page, "real-desk");
      const cookies = await page.context().cookies();
      const kept = cookies.map(({ path, httpOnly, sameSite }) => [path, httpOnly, sameSite]);
      assert.deepEqual(kept, [["/desk", true, "Strict"]]);
      await page.getByRole("link", { name: "Batches" }).click();
      await seen(page, "shown by this operator");
      await page.locator("tbody .state.open").waitFor();
      const [, number] = /^([0-9]+)/.exec(await text(page, "tbody tr"));
      assert.ok(Number(number) >= 1);
      assert.ok(!/verified/i.test(await text(page, "body")));
      await picture(page, "real-batches");
    },
  },
];
