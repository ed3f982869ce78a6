// Starts Azurite, Microsoft's emulator of Azure Blob Storage, on a port with a container in it:
// `node start.mjs PORT CONTAINER`. Says `ready` once it is, and keeps everything in memory.

import { createHmac } from "node:crypto";
import { createRequire } from "node:module";

// Those that are printed in its manual; they open nothing but itself.
const ACCOUNT = "devstoreaccount1";
const KEY =
  "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

const [port, container] = process.argv.slice(2);
process.argv = [
  ...process.argv.slice(0, 2),
  ...["--blobHost", "127.0.0.1", "--blobPort", port, "--inMemoryPersistence", "--silent"],
  ...["--disableTelemetry", "--skipApiVersionCheck"],
];
createRequire(import.meta.url)("azurite/dist/src/blob/main.js");

/** PUT Blob Container, signed by the shared key. */
async function create() {
  const date = new Date().toUTCString();
  const headers = `x-ms-date:${date}\nx-ms-version:2021-08-06\n`;
  const resource = `/${ACCOUNT}/${ACCOUNT}/${container}\nrestype:container`;
  const toSign = `PUT\n\n\n\n\n\n\n\n\n\n\n\n${headers}${resource}`;
  const signature = createHmac("sha256", Buffer.from(KEY, "base64")).update(toSign);
  const answer = await fetch(
    `http://127.0.0.1:${port}/${ACCOUNT}/${container}?restype=container`,
    {
      method: "PUT",
      headers: {
        "x-ms-date": date,
        "x-ms-version": "2021-08-06",
        authorization: `SharedKey ${ACCOUNT}:${signature.digest("base64")}`,
      },
    },
  );
  if (!answer.ok) {
    throw new Error(`${answer.status}: ${await answer.text()}`);
  }
}

for (let left = 600; ; left -= 1) {
  try {
    await create();
    break;
  } catch (error) {
    if (left === 0 || !(error instanceof TypeError)) {
      throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
console.log("ready");
