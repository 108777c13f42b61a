"""Workers and their clock: `celery --app worker worker` and `celery --app worker beat`, with JOBS=celery."""

import sys

from portal.settings import BadSettings, instance, load

try:
    instance.measure(load(), "worker")
except BadSettings as faults:
    sys.exit(str(faults))

from portal import jobs
from wsgi import app as portal

if jobs.WORKERS not in portal.extensions:
    sys.exit("Workers need JOBS=celery and REDIS_URL. Without them, the portal handles everything itself.")

from portal import workers

app = workers.for_worker(portal)
