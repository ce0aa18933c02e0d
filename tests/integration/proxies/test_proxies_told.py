"""What a real instance tells of edits by somebody else, and of loads that fail where no version is asked for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from proxies_edge import NGINX, Edge

if TYPE_CHECKING:
    from instance import Host


def test_an_edit_is_told_with_what_it_changed(host: Host) -> None:
    edge = Edge(host)
    conf = os.path.join(edge.proxy()["items"][0]["directory"], "nginx.conf")
    with open(conf, "a") as file:
        file.write("# mine\n")
    event = edge.wait_for("proxy-edited")
    assert "nginx.conf has been changed by somebody else" in event["reason"]
    assert event["data"]["diff"].startswith("--- a/nginx.conf\n+++ b/nginx.conf\n@@ ")
    assert event["data"]["diff"].endswith("\n+# mine\n")


def test_a_failed_load_is_seen_where_no_version_is_asked_for(host: Host) -> None:
    zone = "limit_req_zone $KEY zone=one:1m rate=100r/s;"
    text = NGINX.replace("{{ proof() }}", zone)
    edge = Edge(host, text=text.replace("$KEY", "$remote_addr"), more="prove = false")
    edge.write(edge.text.replace("$remote_addr", "$server_name").replace('"hello"', '"other"'))
    event = edge.wait_for("proxy-returned")
    assert 'uses the "$server_name" key while previously it used' in event["reason"]
    edge.serves("hello")
