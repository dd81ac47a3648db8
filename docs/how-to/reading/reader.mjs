// Read one document, then follow all changes: `node reader.mjs redis://127.0.0.1:6379/0 [REFERENCE]`.
// Needs the npm package `redis` (5 or later).
import { setTimeout as wait } from "node:timers/promises";
import { createClient } from "redis";

const [url, ...references] = process.argv.slice(2);
const [stream, group, consumer] = ["gelato:changes", "shipping", "shipping-1"];

// `unix:///...` is what `make run` writes into var/redis-url.
const socket = url.startsWith("unix://") && { path: url.slice("unix://".length).split("?")[0] };
const redis = createClient(socket ? { socket } : { url });
redis.on("error", (error) => console.error(String(error))); // it connects again by itself
await redis.connect();

// References are percent-encoded in keys, as by encodeURIComponent, and these five too.
const escaped = (text) =>
  encodeURIComponent(text).replace(/[!'()*]/g, (c) => "%" + c.charCodeAt(0).toString(16).toUpperCase());

for (const reference of references) {
  const document = await redis.get(`gelato:order:{default/${escaped(reference)}}`);
  console.log(document ?? "null"); // plain JSON; null for an order that is not known
}

async function handle(entries) {
  for (const { id, message } of entries) {
    console.log(JSON.stringify(message)); // do your work here; texts all of them: version "3", terminal "false"
    await redis.xAck(stream, group, id); // only now: whoever dies before is given it again
  }
}

async function follow() {
  try {
    await redis.xGroupCreate(stream, group, "$", { MKSTREAM: true }); // a new group begins now
  } catch (error) {
    if (!String(error).includes("BUSYGROUP")) throw error; // it is there: go on where it was
  }
  // First what this consumer was given before it died, or before the connection did.
  for (;;) {
    const given = await redis.xReadGroup(group, consumer, { key: stream, id: "0" }, { COUNT: 100 });
    const entries = given?.[0].messages ?? [];
    if (entries.length === 0) break;
    await handle(entries);
  }
  for (;;) {
    // What another consumer has left lying for a minute, then what is new.
    const left = await redis.xAutoClaim(stream, group, consumer, 60_000, "0", { COUNT: 100 });
    await handle(left.messages.filter((entry) => entry?.message));
    const fresh = await redis.xReadGroup(group, consumer, { key: stream, id: ">" }, { COUNT: 100, BLOCK: 1000 });
    await handle(fresh?.[0].messages ?? []);
  }
}

for (;;) {
  try {
    await follow();
  } catch (error) {
    console.error(String(error)); // the server was restarted, perhaps
    await wait(1000);
  }
}
