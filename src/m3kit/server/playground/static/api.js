// What the page asks the server for. An error has a sentence for the reader.

export class Unreachable extends Error {}

async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(`/playground/${path}`, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Unreachable("m3kit does not answer. Is “m3kit playground” still running?");
  }
  if (response.ok) return response;
  const body = await response.json().catch(() => null);
  throw new Unreachable(body?.error?.message ?? `the server answered with ${response.status}`);
}

const post = (path, body, signal) =>
  ask(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });

export const about = async () => (await ask("about")).json();

export const search = async (query, where, signal) =>
  (await post("search", { query, where }, signal)).json();

export const judge = async (query, id, grade) =>
  (await post("judge", { query, id, grade })).json();

/** Return the picture of an explanation; the server has escaped every text in it. */
export async function explain(query, id) {
  const html = await (await post("explain", { query, id })).text();
  const parsed = new DOMParser().parseFromString(html, "text/html");
  return document.adoptNode(parsed.body.firstElementChild);
}
