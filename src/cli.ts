#!/usr/bin/env node
// an older Node would fail in what is loaded, at some later place
if (Number.parseInt(process.versions.node, 10) < 24) {
  process.stderr.write(
    `migrate-to-polardb needs Node 24 or newer, and this is Node ${process.versions.node}\n`,
  )
  process.exit(1)
}
const { keepHeapSmall } = await import('./heap.ts')
keepHeapSmall()
const { runCli } = await import('./cli/cli.ts')
// sockets of a library may still be open, and everything that matters has been written
process.exit(await runCli(process.argv.slice(2)))
