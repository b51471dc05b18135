import { freezeTests } from '../support/freeze.ts'

// what the gate leaves out for its time
freezeTests(10, ['failure', 'kill, then unfreeze', 'kill, then dump', 'write'])
freezeTests(15, ['kill, then dump'])
