// A tus store on a folder, on loopback only.

import { once } from 'node:events'
import { parseArgs } from 'node:util'

import { FileStore } from '@tus/file-store'
import { Server } from '@tus/server'

/** Read `--dir`, `--port` and the options named besides; all but the port must be given. */
export function readOptions(...names) {
  const options = Object.fromEntries(['dir', 'port', ...names].map((name) => [name, { type: 'string' }]))
  const { values } = parseArgs({ options })
  for (const name of ['dir', ...names]) {
    if (!values[name]) {
      console.error(`--${name}: missing, expected a path`)
      process.exit(2)
    }
  }
  return { ...values, port: Number(values.port ?? 0) }
}

/** Serve `datastore` under /files/ and print `{"port": N}` once requests are answered. */
export async function serve({ datastore, port, hooks = {} }) {
  const tus = new Server({ path: '/files', datastore, relativeLocation: true, ...hooks })
  const listener = tus.listen({ host: '127.0.0.1', port })
  await once(listener, 'listening')
  process.stdout.write(`${JSON.stringify({ port: listener.address().port })}\n`)
}

export const folder = (directory) => new FileStore({ directory })
