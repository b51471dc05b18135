import { refusalOfNode } from './node-version.ts'

// main has said why, and has left nothing to clean up
if (!refusalOfNode(process.versions.node)) {
  const { cleanUp } = await import('./action/clean-up.ts')
  await cleanUp()
}
