-- name: active
e.active_seconds

-- name: wait
e.queue_wait_seconds
