// The other nodes of the chain that stand behind this page's server: what they say about the same
// deployment and the same batches. A dispute stays one until the node that began it agrees.

import { readConstants } from "./chain.js";
import { checkDeployment } from "./statement/deployment.js";

/** Most disputes that are kept. */
const DISPUTES_MAX = 1000;

export class Peers {
  #chains;
  #file;
  #artefact;
  /** Numbers of those that have this contract with these keys: neither can change. */
  #agreed = new Set();
  /** Why a node disagrees, by what it was asked about. */
  #disputes = new Map();

  /** `chains` are all nodes; the first is the one whose word is compared. */
  constructor(chains, { file, artefact }) {
    this.#chains = chains.slice(1);
    this.#file = file;
    this.#artefact = artefact;
  }

  /** What each says about the deployment: agrees, differs or away, and why. */
  async aboutDeployment() {
    const answers = [];
    for (const [at] of this.#chains.entries()) answers.push(await this.#constants(at));
    return answers;
  }

  /** What each says about a batch that was settled, from its event and block. */
  async aboutBatch(one, tell) {
    const answers = [];
    for (const [at, chain] of this.#chains.entries()) {
      tell("compare", at + 1, this.#chains.length + 1);
      const constants = await this.#constants(at);
      const ask = async () => await differenceOf(chain, this.#file, one);
      // Of another contract its events say nothing.
      const isSame = constants.outcome === "agrees";
      answers.push(isSame ? await this.#ask(at, `${one.raw} ${one.blockHash}`, ask) : constants);
    }
    return answers;
  }

  async #constants(at) {
    if (this.#agreed.has(at)) return { chain: at + 2, outcome: "agrees" };
    const answer = await this.#ask(at, "deployment", async () => {
      const constants = await readConstants(this.#chains[at], this.#file, this.#artefact);
      checkDeployment(this.#file, constants, this.#artefact);
      return {};
    });
    if (answer.outcome === "agrees") this.#agreed.add(at);
    return answer;
  }

  /** `ask` gives why the node differs, or why it was not compared, or neither. */
  async #ask(at, what, ask) {
    const { differs, away } = await reasonsOf(ask);
    const chain = at + 2;
    const key = `${at} ${what}`;
    if (differs !== undefined) {
      if (this.#disputes.size < DISPUTES_MAX) this.#disputes.set(key, differs);
      return { chain, outcome: "differs", why: differs };
    }
    if (away === undefined) {
      this.#disputes.delete(key);
      return { chain, outcome: "agrees" };
    }
    // Whoever disagreed and is away by now has taken nothing back.
    const before = this.#disputes.get(key);
    if (before === undefined) return { chain, outcome: "away", why: away };
    return { chain, outcome: "differs", why: `${before}, and it is away by now` };
  }
}

async function reasonsOf(ask) {
  try {
    return await ask();
  } catch (error) {
    if (error.name === "Broken") return { differs: error.message };
    if (error.name === "ChainError") return { away: error.message };
    throw error;
  }
}

async function differenceOf(chain, file, one) {
  const head = await chain.block("latest");
  // A node that is behind knows nothing of what settled later: that is no other past.
  if (head === undefined || head.number < one.block) {
    return { away: `it is behind: the batch settled in block ${one.block}` };
  }
  const events = await chain.settledBetween(file.scope.contract, [one.block, one.block]);
  const other = events.find(({ header }) => header.number === one.header.number);
  const block = await chain.block(one.block);
  const found = [
    [other === undefined, "it has no event of this batch in this block"],
    [other?.raw !== one.raw, "its event of this batch is another"],
    [block?.hash !== one.blockHash, "its block is another"],
    [block?.time !== one.blockTime, "the time of its block is another"],
  ].find(([is]) => is);
  return { differs: found?.[1] };
}
