// @tus/server with a hook that gives receipts: re-read, compare, sync, sign.

import { createHash, createPrivateKey, createPublicKey, randomUUID, sign } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, readFile, rename } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'

import { folder, readOptions, serve } from './store.mjs'

const { dir, key: keyPath, port } = readOptions('key')
const key = createPrivateKey(await readFile(keyPath))
const datastore = folder(dir)

const base64url = (text) => Buffer.from(text).toString('base64url')
const sha256 = (text, encoding) => createHash('sha256').update(text).digest(encoding)

/** JSON with sorted keys, no spaces, ASCII only: the one form that is signed. */
function canonical(object) {
  const sorted = Object.fromEntries(Object.keys(object).sort().map((name) => [name, object[name]]))
  return JSON.stringify(sorted).replace(/[\u007f-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

// RFC 7638, RFC 8037 appendix A.3: a key is named by its thumbprint.
const { crv, kty, x } = createPublicKey(key).export({ format: 'jwk' })
const kid = sha256(canonical({ crv, kty, x }), 'base64url')

/** The Upload-Metadata header in its one form: names sorted, values in base64. */
function metadataHeader(metadata) {
  const pair = (name) => `${name} ${Buffer.from(metadata[name] ?? '').toString('base64')}`
  return Object.keys(metadata).sort().map(pair).join(',')
}

function receiptFor(upload, digest, leaf) {
  const header = canonical({ alg: 'EdDSA', kid, typ: 'clip-receipt+jwt' })
  const payload = canonical({
    aud: upload.metadata.station,
    clip_id: upload.metadata.clip_id,
    leaf: leaf ?? '0'.repeat(64), // the station's custody leaf; zeros where it sent none
    length: upload.size,
    meta_sha256: sha256(metadataHeader(upload.metadata), 'hex'),
    sha256: digest,
    store: 'tus-node-server',
    stored_at: new Date().toISOString(),
  })
  const signed = `${base64url(header)}.${base64url(payload)}`
  return `${signed}.${sign(null, Buffer.from(signed), key).toString('base64url')}`
}

/** Sync what is stored, then hash it from the file: what was received does not count. */
async function storedDigest(path) {
  const file = await open(path, 'r+')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash)
  return hash.digest('hex')
}

/** Write `text` so that it is there whole, or not at all, after a power cut. */
async function writeDurably(path, text) {
  const part = `${path}.${randomUUID()}.part`
  const file = await open(part, 'wx')
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(part, path)
  const parent = await open(dir, 'r')
  try {
    await parent.sync()
  } finally {
    await parent.close()
  }
}

/** The receipt given before for this upload, or null. */
async function keptReceipt(path) {
  try {
    return await readFile(path, 'ascii')
  } catch (error) {
    if (error.code === 'ENOENT') return null
    throw error
  }
}

async function onUploadFinish(request, upload) {
  const { path } = upload.storage
  const digest = await storedDigest(path)
  const { length, sha256: declared } = upload.metadata ?? {}
  if (digest !== declared || String(upload.size) !== length) {
    // What was stored is not what was declared: gone, so that the next HEAD says 404 and the clip is sent anew.
    await datastore.remove(upload.id)
    throw { status_code: 460, body: `stored ${upload.size} bytes, sha256 ${digest}; expected ${length}, ${declared}\n` }
  }
  let receipt = await keptReceipt(`${path}.receipt`)
  if (receipt === null) {
    receipt = receiptFor(upload, digest, request.headers.get('custody-leaf'))
    await writeDurably(`${path}.receipt`, receipt)
  }
  const reprDigest = `sha-256=:${Buffer.from(digest, 'hex').toString('base64')}:`
  return { headers: { 'Clip-Receipt': receipt, 'Repr-Digest': reprDigest } }
}

await serve({ datastore, port, hooks: { onUploadFinish } })
