import { describe, expect, test } from '@jest/globals'
import { ClientError, parseMessage, readAnswer } from '../../src/action/artifact-client.ts'

describe('a line of the artifact client’s process', () => {
  test.each([
    [{ bytes: 12 }],
    [{ line: 'Uploading artifact: d.zip' }],
    [{ error: { name: 'UsageError', message: 'quota' } }],
    [{ error: { name: 'Error', message: 'gone', status: 404 } }],
    [{ result: null }],
    [{ result: { id: 1, anything: [] } }],
  ])('is the message %j', (message) => {
    expect(parseMessage(JSON.stringify(message))).toEqual(message)
  })

  test.each([
    'Warning: something of Node',
    '',
    '"text"',
    '[]',
    'null',
    '{}',
    '{"bytes":"12"}',
    '{"bytes":-1}',
    '{"line":null}',
    '{"error":"quota"}',
    '{"error":{"name":"Error"}}',
    '{"error":{"name":"Error","message":"gone","status":"404"}}',
  ])('is one of the log where it is no message: %s', (text) => {
    expect(parseMessage(text)).toEqual({ line: text })
  })
})

describe('an answer of the artifact client', () => {
  const one = { name: 'dump', id: 7, size: 5 }

  test('is read to what is needed of it', () => {
    expect(readAnswer('upload', { id: 7, size: 5, digest: 'x' })).toEqual({ id: 7, size: 5 })
    expect(readAnswer('get', { ...one, createdAt: '2026-11-23' })).toEqual(one)
    expect(readAnswer('list', [one, { ...one, digest: null }])).toEqual([
      one,
      { ...one, digest: null },
    ])
    expect(readAnswer('download', { downloadPath: '/tmp' })).toEqual({})
    expect(readAnswer('download', { digestMismatch: true })).toEqual({ digestMismatch: true })
  })

  test.each([
    ['get', null, '`result` is no object'],
    ['get', { ...one, id: '7' }, '`id` is no whole number'],
    ['get', { name: 'dump', size: 5 }, '`id` is missing'],
    ['list', {}, '`result` is no list'],
    ['list', [one, { ...one, name: 1 }], '`[1].name` is no text'],
    ['upload', { id: -1 }, '`id` is no whole number'],
    ['download', { digestMismatch: 'no' }, '`digestMismatch` is neither true nor false'],
  ] as const)('to %s that is %j is refused: %s', (call, result, flaw) => {
    const error = (() => {
      try {
        return readAnswer(call, result)
      } catch (error) {
        return error
      }
    })()
    expect(error).toBeInstanceOf(ClientError)
    expect(error).toMatchObject({
      kind: 'AnswerError',
      message: `GitHub's artifact client answered, but ${flaw}`,
    })
  })
})
