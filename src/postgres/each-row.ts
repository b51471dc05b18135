import pg from 'pg'

/**
 * Asks something whose answer may have a row for every table or column there is, and hands on each row as it arrives: kept until
 * the last is there, as pg.Client.query() does, they would be several times of what is made of them.
 *
 * @param client may be asked other things at the same time, see together()
 * @param take is told each row, in the order of the answer
 * @throws the server's error, or the first one of `take`, once the answer is over
 */
export async function eachRow<Row extends pg.QueryResultRow>(
  client: pg.Client,
  sql: string,
  take: (row: Row) => void,
): Promise<void> {
  const over = Promise.withResolvers<void>()
  const query = new pg.Query<Row>(sql)
  let thrown: { error: unknown } | undefined
  query.on('row', (row) => {
    if (thrown) return
    try {
      take(row)
    } catch (error) {
      // thrown into the reading of the answer it would end the process
      thrown = { error }
    }
  })
  query.on('error', over.reject)
  query.on('end', () => over.resolve())
  client.query(query)
  await over.promise
  if (thrown) throw thrown.error
}
