import { refusalOfNode } from './node-version.ts'

const refusal = refusalOfNode(process.versions.node)
if (refusal) {
  process.stdout.write(`${refusal}\n`)
  process.exitCode = 1
} else {
  // loaded only now: an older Node fails in it at some later place, in words of its own
  const { runAction } = await import('./action/action.ts')
  await runAction()
  // sockets of a library may still be open; everything that matters has been written
  process.exit()
}
