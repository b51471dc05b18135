import { refusalOfNode } from './node-version.ts'

const refusal = refusalOfNode(process.versions.node)
if (refusal) {
  process.stdout.write(`${refusal}\n`)
  process.exitCode = 1
} else {
  const { runStop } = await import('./action/runner.ts')
  await runStop()
  // sockets of a library may still be open; everything that matters has been written
  process.exit()
}
