import { recompute } from './forecasting.js'

/** What the queue can do: job kind → handler(scope of the job's tenant, payload). */
export const handlers = {
  'forecast.compute': (scope, { scenario_id }) => recompute(scope, scenario_id),
}
