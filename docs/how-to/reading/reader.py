"""Read one document, then follow all changes: `python reader.py redis://127.0.0.1:6379/0 [REFERENCE]`."""

import json
import sys
import time

from gelato_rollup import Reader, StoreUnavailable

url, *references = sys.argv[1:]
with Reader(url) as reader:
    for reference in references:
        print(json.dumps(reader.get(reference)), flush=True)  # null for an order that is not known
    while True:
        try:
            # What this consumer was given before it died comes first; what another one left behind, after a minute.
            for change in reader.watch(group="shipping", consumer="shipping-1"):
                print(
                    json.dumps(change), flush=True
                )  # do your work here: it is acknowledged when the next is asked for
        except StoreUnavailable as error:  # the server was restarted, perhaps
            print(error, file=sys.stderr)
            time.sleep(1)
