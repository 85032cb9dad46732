"""What Home Assistant is told, so that it shows how a gateway is: its MQTT device discovery, optional.

All of it is read off the heartbeat on the status topic; what was not heard for some minutes is unavailable. Nothing can
be done to a gateway from there: no entity takes a command.
"""

from __future__ import annotations

from typing import Any

import msgspec

_EXPIRES = 180
"""Seconds without a heartbeat."""
_TROUBLE = "value_json.trouble | default([])"
_COMPONENTS: dict[str, dict[str, Any]] = {
    "problem": {
        "platform": "binary_sensor",
        "name": "Problem",
        "device_class": "problem",
        "value_template": f"{{{{ 'ON' if ({_TROUBLE}) else 'OFF' }}}}",
    },
    "takes": {
        "platform": "binary_sensor",
        "name": "Takes taps and scans",
        "device_class": "running",
        "value_template": f"{{{{ 'OFF' if 'gateway:refuses' in ({_TROUBLE}) else 'ON' }}}}",
    },
    "trouble": {
        "platform": "sensor",
        "name": "Trouble",
        "value_template": f"{{{{ (({_TROUBLE}) | join(', ') or 'none')[:255] }}}}",
    },
    "queued": {
        "platform": "sensor",
        "name": "Waiting events",
        "state_class": "measurement",
        "value_template": "{{ value_json.queued | default(none) }}",
    },
    "held": {
        "platform": "sensor",
        "name": "Scans without a customer",
        "state_class": "measurement",
        "value_template": "{{ value_json.held | default(none) }}",
    },
    "heartbeat": {
        "platform": "sensor",
        "name": "Last heartbeat",
        "device_class": "timestamp",
        "value_template": "{{ value_json.time | default(none) }}",
    },
}


def discovery(prefix: str, store: str, gateway: str, version: str) -> tuple[str, bytes]:
    """The topic and the payload, which is to be retained. `prefix`: as Home Assistant is set to."""
    name = f"cartwire-{store}-{gateway}"
    status = f"cartwire/v1/gateways/{store}/{gateway}/status"
    software = {"sw_version": version}
    payload = {
        "device": {"identifiers": [name], "name": f"{store} {gateway}", **software},
        "origin": {"name": "cartwire", **software},
        "state_topic": status,
        "availability_topic": status,
        "availability_template": "{{ value_json.state }}",
        "components": {
            key: {
                **component,
                "unique_id": f"{name}-{key}",
                "entity_category": "diagnostic",
                "expire_after": _EXPIRES,
            }
            for key, component in _COMPONENTS.items()
        },
    }
    return f"{prefix}/device/{name}/config", msgspec.json.encode(payload)
