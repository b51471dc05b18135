import { jsonPieces } from '../../src/report/json.ts'
import type { Report } from '../../src/report/model.ts'

/** The whole text of a `report.json`. */
export function renderJson(report: Report): string {
  return [...jsonPieces(report)].join('')
}
