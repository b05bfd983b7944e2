// @tus/server as it comes: it stores, and proves nothing.

import { folder, readOptions, serve } from './store.mjs'

const { dir, port } = readOptions()
await serve({ datastore: folder(dir), port })
