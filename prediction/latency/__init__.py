"""How long will it take? Queues, steps, answer lengths, and how far off a prediction may be. Imports `errors`.

Order: `service_time` < `prefill_queue` < `queueing`; `speed_changes`, `intervals` and `lengths` stand alone.
"""
