-- Agent governance: aggregates with members, block, signal and raw file events, two-sided network tags, tenants, retention.
ALTER TABLE event.file_agg_event
    ADD COLUMN IF NOT EXISTS `tenant_id` UInt32 DEFAULT 1 AFTER `result`,
    ADD COLUMN IF NOT EXISTS `is_recording` Bool DEFAULT true AFTER `tenant_id`,
    ADD COLUMN IF NOT EXISTS `host` LowCardinality(String) DEFAULT '' AFTER `is_recording`,
    ADD COLUMN IF NOT EXISTS `effect_ids` Array(UInt64) DEFAULT [id] AFTER `fd_kind`,
    ADD COLUMN IF NOT EXISTS `effect_at_ns` Array(Int64) DEFAULT [at_ns] AFTER `effect_ids`,
    ADD COLUMN IF NOT EXISTS `effect_end_ns` Array(Int64) DEFAULT [end_ns] AFTER `effect_at_ns`,
    ADD COLUMN IF NOT EXISTS `effect_bytes` Array(UInt64) DEFAULT [bytes] AFTER `effect_end_ns`,
    ADD COLUMN IF NOT EXISTS `effect_counts` Array(UInt32) DEFAULT [event_count] AFTER `effect_bytes`,
    ADD COLUMN IF NOT EXISTS `effect_fds` Array(Int32) DEFAULT [fd] AFTER `effect_counts`,
    ADD INDEX IF NOT EXISTS by_time time TYPE minmax,
    ADD INDEX IF NOT EXISTS by_process gprocess_id TYPE bloom_filter GRANULARITY 1;
ALTER TABLE event.file_agg_event
    MODIFY COLUMN `duration` UInt64 ALIAS intDiv(arraySum(effect_end_ns) - arraySum(effect_at_ns), 1000);
ALTER TABLE event.file_agg_event MODIFY TTL time + toIntervalHour(168) DELETE WHERE NOT is_recording;
CREATE TABLE IF NOT EXISTS event.file_event (`time` DateTime DEFAULT toDateTime(intDiv(at_ns, 1000000000)), `_id` UInt64 ALIAS id, `start_time` DateTime64(6) DEFAULT fromUnixTimestamp64Micro(intDiv(at_ns, 1000)), `end_time` DateTime64(6) DEFAULT fromUnixTimestamp64Micro(intDiv(end_ns, 1000)), `tagged` UInt8 ALIAS 0, `signal_source` UInt8 ALIAS 2, `event_type` LowCardinality(String) DEFAULT replaceOne(kind, 'file_', ''), `event_desc` String ALIAS '', `process_kname` LowCardinality(String), `gprocess_id` UInt64, `region_id` UInt16 ALIAS 0, `az_id` UInt16 ALIAS 0, `host_id` UInt16 ALIAS 0, `pod_ns_id` UInt16 ALIAS 0, `pod_cluster_id` UInt16 ALIAS 0, `agent_id` UInt16 ALIAS 0, `subnet_id` UInt16 ALIAS 0, `team_id` UInt16 ALIAS 0, `l3_epc_id` Int32 ALIAS 0, `pod_id` UInt32 ALIAS 0, `pod_node_id` UInt32 ALIAS 0, `pod_group_id` UInt32 ALIAS 0, `l3_device_id` UInt32 ALIAS 0, `service_id` UInt32 ALIAS 0, `auto_instance_id` UInt32 ALIAS 0, `auto_service_id` UInt32 ALIAS 0, `l3_device_type` UInt8 ALIAS 0, `auto_instance_type` UInt8 ALIAS 0, `auto_service_type` UInt8 ALIAS 0, `is_ipv4` UInt8 ALIAS 1, `ip4` IPv4 ALIAS toIPv4('0.0.0.0'), `ip6` IPv6 ALIAS toIPv6('::'), `app_instance` String ALIAS toString(pid), `attribute_names` Array(LowCardinality(String)) ALIAS [], `attribute_values` Array(String) ALIAS [], `root_pid` UInt32, `syscall_thread` UInt32, `syscall_coroutine` UInt32 ALIAS 0, `bytes` UInt64, `duration` UInt64 ALIAS intDiv(end_ns - at_ns, 1000), `file_name` String DEFAULT if(position(full_path, '/') = 0, full_path, arrayElement(splitByChar('/', full_path), -1)), `file_dir` String DEFAULT substring(full_path, 1, length(full_path) - length(file_name)), `offset` UInt64 ALIAS 0, `mount_source` LowCardinality(String) ALIAS '', `mount_point` LowCardinality(String) ALIAS '', `file_type` UInt8 DEFAULT multiIf(fd_kind = 1, 1, fd_kind = 4, 3, 2), `access_permission` UInt32 ALIAS 0, `event_count` UInt32, `run_id` LowCardinality(String), `id` UInt64, `kind` LowCardinality(String), `process_id` UInt64 ALIAS gprocess_id, `root_process_id` UInt64, `tid` UInt32 ALIAS syscall_thread, `at_ns` Int64 CODEC(Delta(8), ZSTD(1)), `end_ns` Int64 CODEC(Delta(8), ZSTD(1)), `result` Int32, `tenant_id` UInt32 DEFAULT 1, `is_recording` Bool DEFAULT true, `host` LowCardinality(String) DEFAULT '', `full_path` String EPHEMERAL, `path` String ALIAS concat(file_dir, file_name), `path_state` UInt8, `fd` Int32, `inode` UInt64, `device` UInt32, `pid` UInt32, `uid` UInt32, `gid` UInt32, `fd_kind` UInt8, INDEX by_time time TYPE minmax, INDEX by_process gprocess_id TYPE bloom_filter GRANULARITY 1) ENGINE = MergeTree PARTITION BY toYYYYMM(time) ORDER BY (run_id, at_ns, id) TTL time + toIntervalHour(168) DELETE WHERE NOT is_recording SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 1000, old_parts_lifetime = 30;
ALTER TABLE event.file_mgmt_event
    ADD COLUMN IF NOT EXISTS `tenant_id` UInt32 DEFAULT 1 AFTER `result`,
    ADD COLUMN IF NOT EXISTS `is_recording` Bool DEFAULT true AFTER `tenant_id`,
    ADD COLUMN IF NOT EXISTS `host` LowCardinality(String) DEFAULT '' AFTER `is_recording`,
    ADD INDEX IF NOT EXISTS by_time time TYPE minmax,
    ADD INDEX IF NOT EXISTS by_process gprocess_id TYPE bloom_filter GRANULARITY 1;
ALTER TABLE event.file_mgmt_event
    MODIFY COLUMN `signal_source` UInt8 ALIAS 6;
ALTER TABLE event.file_mgmt_event MODIFY TTL time + toIntervalHour(168) DELETE WHERE NOT is_recording;
ALTER TABLE event.file_open_event
    ADD COLUMN IF NOT EXISTS `tenant_id` UInt32 DEFAULT 1 AFTER `result`,
    ADD COLUMN IF NOT EXISTS `is_recording` Bool DEFAULT true AFTER `tenant_id`,
    ADD COLUMN IF NOT EXISTS `host` LowCardinality(String) DEFAULT '' AFTER `is_recording`,
    ADD INDEX IF NOT EXISTS by_time time TYPE minmax,
    ADD INDEX IF NOT EXISTS by_process gprocess_id TYPE bloom_filter GRANULARITY 1;
ALTER TABLE event.file_open_event
    MODIFY COLUMN `signal_source` UInt8 ALIAS 6;
ALTER TABLE event.file_open_event MODIFY TTL time + toIntervalHour(168) DELETE WHERE NOT is_recording;
ALTER TABLE event.proc_perm_event
    ADD COLUMN IF NOT EXISTS `tenant_id` UInt32 DEFAULT 1 AFTER `result`,
    ADD COLUMN IF NOT EXISTS `is_recording` Bool DEFAULT true AFTER `tenant_id`,
    ADD COLUMN IF NOT EXISTS `host` LowCardinality(String) DEFAULT '' AFTER `is_recording`,
    ADD COLUMN IF NOT EXISTS `uid` UInt32 DEFAULT 0 AFTER `host`,
    ADD COLUMN IF NOT EXISTS `gid` UInt32 DEFAULT 0 AFTER `uid`,
    ADD COLUMN IF NOT EXISTS `old_euid` UInt32 DEFAULT 0 AFTER `gid`,
    ADD COLUMN IF NOT EXISTS `new_euid` UInt32 DEFAULT 0 AFTER `old_euid`,
    ADD COLUMN IF NOT EXISTS `old_egid` UInt32 DEFAULT 0 AFTER `new_euid`,
    ADD COLUMN IF NOT EXISTS `new_egid` UInt32 DEFAULT 0 AFTER `old_egid`,
    ADD COLUMN IF NOT EXISTS `old_caps` UInt64 DEFAULT 0 AFTER `new_egid`,
    ADD COLUMN IF NOT EXISTS `new_caps` UInt64 DEFAULT 0 AFTER `old_caps`,
    ADD COLUMN IF NOT EXISTS `call` LowCardinality(String) DEFAULT '' AFTER `new_caps`,
    ADD INDEX IF NOT EXISTS by_time time TYPE minmax,
    ADD INDEX IF NOT EXISTS by_process gprocess_id TYPE bloom_filter GRANULARITY 1;
ALTER TABLE event.proc_perm_event
    MODIFY COLUMN `signal_source` UInt8 ALIAS 7,
    MODIFY COLUMN `event_type` LowCardinality(String) DEFAULT concat('permop', call);
ALTER TABLE event.proc_perm_event MODIFY TTL time + toIntervalHour(168) DELETE WHERE NOT is_recording;
CREATE TABLE IF NOT EXISTS event.proc_signal_event (`time` DateTime DEFAULT toDateTime(intDiv(at_ns, 1000000000)), `_id` UInt64 ALIAS id, `start_time` DateTime64(6) DEFAULT fromUnixTimestamp64Micro(intDiv(at_ns, 1000)), `end_time` DateTime64(6) DEFAULT fromUnixTimestamp64Micro(intDiv(end_ns, 1000)), `tagged` UInt8 ALIAS 0, `signal_source` UInt8 ALIAS 9, `event_type` LowCardinality(String) DEFAULT kind, `event_desc` String ALIAS '', `process_kname` LowCardinality(String), `gprocess_id` UInt64, `region_id` UInt16 ALIAS 0, `az_id` UInt16 ALIAS 0, `host_id` UInt16 ALIAS 0, `pod_ns_id` UInt16 ALIAS 0, `pod_cluster_id` UInt16 ALIAS 0, `agent_id` UInt16 ALIAS 0, `subnet_id` UInt16 ALIAS 0, `team_id` UInt16 ALIAS 0, `l3_epc_id` Int32 ALIAS 0, `pod_id` UInt32 ALIAS 0, `pod_node_id` UInt32 ALIAS 0, `pod_group_id` UInt32 ALIAS 0, `l3_device_id` UInt32 ALIAS 0, `service_id` UInt32 ALIAS 0, `auto_instance_id` UInt32 ALIAS 0, `auto_service_id` UInt32 ALIAS 0, `l3_device_type` UInt8 ALIAS 0, `auto_instance_type` UInt8 ALIAS 0, `auto_service_type` UInt8 ALIAS 0, `is_ipv4` UInt8 ALIAS 1, `ip4` IPv4 ALIAS toIPv4('0.0.0.0'), `ip6` IPv6 ALIAS toIPv6('::'), `app_instance` String ALIAS toString(pid), `attribute_names` Array(LowCardinality(String)) ALIAS [], `attribute_values` Array(String) ALIAS [], `root_pid` UInt32, `syscall_thread` UInt32, `syscall_coroutine` UInt32 ALIAS 0, `run_id` LowCardinality(String), `id` UInt64, `kind` LowCardinality(String), `process_id` UInt64 ALIAS gprocess_id, `root_process_id` UInt64, `tid` UInt32 ALIAS syscall_thread, `at_ns` Int64 CODEC(Delta(8), ZSTD(1)), `end_ns` Int64 CODEC(Delta(8), ZSTD(1)), `result` Int32, `tenant_id` UInt32 DEFAULT 1, `is_recording` Bool DEFAULT true, `host` LowCardinality(String) DEFAULT '', `pid` UInt32, `uid` UInt32, `gid` UInt32, `target_pid` UInt32, `target_id` UInt64, `signal` Int32, INDEX by_time time TYPE minmax, INDEX by_process gprocess_id TYPE bloom_filter GRANULARITY 1) ENGINE = MergeTree PARTITION BY toYYYYMM(time) ORDER BY (run_id, at_ns, id) TTL time + toIntervalHour(168) DELETE WHERE NOT is_recording SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 1000, old_parts_lifetime = 30;
CREATE TABLE IF NOT EXISTS event.proc_block_event (`time` DateTime DEFAULT toDateTime(intDiv(at_ns, 1000000000)), `_id` UInt64 ALIAS id, `start_time` DateTime64(6) DEFAULT fromUnixTimestamp64Micro(intDiv(at_ns, 1000)), `end_time` DateTime64(6) DEFAULT fromUnixTimestamp64Micro(intDiv(end_ns, 1000)), `tagged` UInt8 ALIAS 0, `signal_source` UInt8 ALIAS 5, `event_type` LowCardinality(String) DEFAULT target_type, `event_desc` String ALIAS '', `process_kname` LowCardinality(String), `gprocess_id` UInt64, `region_id` UInt16 ALIAS 0, `az_id` UInt16 ALIAS 0, `host_id` UInt16 ALIAS 0, `pod_ns_id` UInt16 ALIAS 0, `pod_cluster_id` UInt16 ALIAS 0, `agent_id` UInt16 ALIAS 0, `subnet_id` UInt16 ALIAS 0, `team_id` UInt16 ALIAS 0, `l3_epc_id` Int32 ALIAS 0, `pod_id` UInt32 ALIAS 0, `pod_node_id` UInt32 ALIAS 0, `pod_group_id` UInt32 ALIAS 0, `l3_device_id` UInt32 ALIAS 0, `service_id` UInt32 ALIAS 0, `auto_instance_id` UInt32 ALIAS 0, `auto_service_id` UInt32 ALIAS 0, `l3_device_type` UInt8 ALIAS 0, `auto_instance_type` UInt8 ALIAS 0, `auto_service_type` UInt8 ALIAS 0, `is_ipv4` UInt8 ALIAS 1, `ip4` IPv4 ALIAS toIPv4('0.0.0.0'), `ip6` IPv6 ALIAS toIPv6('::'), `app_instance` String ALIAS toString(pid), `attribute_names` Array(LowCardinality(String)) ALIAS [], `attribute_values` Array(String) ALIAS [], `root_pid` UInt32, `syscall_thread` UInt32, `syscall_coroutine` UInt32 ALIAS 0, `rule_id` String, `target_type` LowCardinality(String), `action` LowCardinality(String), `mechanism` LowCardinality(String), `guarantee` LowCardinality(String), `errno` Int32, `pid` UInt32, `parent_pid` UInt32 ALIAS ppid, `uid` UInt32, `gid` UInt32, `cmdline` String ALIAS arrayStringConcat(argv, ' '), `exec_path` String, `syscall_name` LowCardinality(String), `syscall_id` UInt32, `policy_epoch` UInt64, `run_id` LowCardinality(String), `id` UInt64, `kind` LowCardinality(String), `process_id` UInt64 ALIAS gprocess_id, `root_process_id` UInt64, `tid` UInt32 ALIAS syscall_thread, `at_ns` Int64 CODEC(Delta(8), ZSTD(1)), `end_ns` Int64 CODEC(Delta(8), ZSTD(1)), `result` Int32, `tenant_id` UInt32 DEFAULT 1, `is_recording` Bool DEFAULT true, `host` LowCardinality(String) DEFAULT '', `outcome` LowCardinality(String), `ppid` UInt32, `argv` Array(String), `path` String, `address` String, `port` UInt16, INDEX by_time time TYPE minmax, INDEX by_process gprocess_id TYPE bloom_filter GRANULARITY 1) ENGINE = MergeTree PARTITION BY toYYYYMM(time) ORDER BY (run_id, at_ns, id) TTL time + toIntervalHour(168) DELETE WHERE NOT is_recording SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 1000, old_parts_lifetime = 30;
ALTER TABLE event.proc_ops_event
    ADD COLUMN IF NOT EXISTS `tenant_id` UInt32 DEFAULT 1 AFTER `result`,
    ADD COLUMN IF NOT EXISTS `is_recording` Bool DEFAULT true AFTER `tenant_id`,
    ADD COLUMN IF NOT EXISTS `host` LowCardinality(String) DEFAULT '' AFTER `is_recording`,
    ADD INDEX IF NOT EXISTS by_time time TYPE minmax,
    ADD INDEX IF NOT EXISTS by_process gprocess_id TYPE bloom_filter GRANULARITY 1;
ALTER TABLE event.proc_ops_event MODIFY TTL time + toIntervalHour(168) DELETE WHERE NOT is_recording;
ALTER TABLE event.net_event
    ADD COLUMN IF NOT EXISTS `tenant_id` UInt32 DEFAULT 1 AFTER `result`,
    ADD COLUMN IF NOT EXISTS `is_recording` Bool DEFAULT true AFTER `tenant_id`,
    ADD COLUMN IF NOT EXISTS `host` LowCardinality(String) DEFAULT '' AFTER `is_recording`,
    ADD COLUMN IF NOT EXISTS `role` LowCardinality(String) DEFAULT multiIf(kind IN ('connect', 'send'), 'client', kind IN ('accept', 'bind', 'listen'), 'server', '') AFTER `received_bytes`,
    ADD COLUMN IF NOT EXISTS `gprocess_id_0` UInt64 ALIAS if(role = 'client', gprocess_id, 0) AFTER `role`,
    ADD COLUMN IF NOT EXISTS `process_id_0` UInt64 ALIAS if(role = 'client', gprocess_id, 0) AFTER `gprocess_id_0`,
    ADD COLUMN IF NOT EXISTS `pid_0` UInt32 ALIAS if(role = 'client', pid, 0) AFTER `process_id_0`,
    ADD COLUMN IF NOT EXISTS `root_pid_0` UInt32 ALIAS if(role = 'client', root_pid, 0) AFTER `pid_0`,
    ADD COLUMN IF NOT EXISTS `root_process_id_0` UInt64 ALIAS if(role = 'client', root_process_id, 0) AFTER `root_pid_0`,
    ADD COLUMN IF NOT EXISTS `process_kname_0` LowCardinality(String) ALIAS if(role = 'client', process_kname, '') AFTER `root_process_id_0`,
    ADD COLUMN IF NOT EXISTS `address_0` String ALIAS if(role = '', '', if(role = 'client' AND kind NOT IN ('bind', 'listen'), local_address, address)) AFTER `process_kname_0`,
    ADD COLUMN IF NOT EXISTS `port_0` UInt16 ALIAS if(role = '', 0, if(role = 'client' AND kind NOT IN ('bind', 'listen'), local_port, port)) AFTER `address_0`,
    ADD COLUMN IF NOT EXISTS `ip4_0` IPv4 ALIAS toIPv4OrDefault(address_0) AFTER `port_0`,
    ADD COLUMN IF NOT EXISTS `ip6_0` IPv6 ALIAS toIPv6OrDefault(address_0) AFTER `ip4_0`,
    ADD COLUMN IF NOT EXISTS `region_id_0` UInt16 ALIAS 0 AFTER `ip6_0`,
    ADD COLUMN IF NOT EXISTS `az_id_0` UInt16 ALIAS 0 AFTER `region_id_0`,
    ADD COLUMN IF NOT EXISTS `host_id_0` UInt16 ALIAS 0 AFTER `az_id_0`,
    ADD COLUMN IF NOT EXISTS `pod_ns_id_0` UInt16 ALIAS 0 AFTER `host_id_0`,
    ADD COLUMN IF NOT EXISTS `pod_cluster_id_0` UInt16 ALIAS 0 AFTER `pod_ns_id_0`,
    ADD COLUMN IF NOT EXISTS `subnet_id_0` UInt16 ALIAS 0 AFTER `pod_cluster_id_0`,
    ADD COLUMN IF NOT EXISTS `team_id_0` UInt16 ALIAS 0 AFTER `subnet_id_0`,
    ADD COLUMN IF NOT EXISTS `l3_epc_id_0` Int32 ALIAS 0 AFTER `team_id_0`,
    ADD COLUMN IF NOT EXISTS `pod_id_0` UInt32 ALIAS 0 AFTER `l3_epc_id_0`,
    ADD COLUMN IF NOT EXISTS `pod_node_id_0` UInt32 ALIAS 0 AFTER `pod_id_0`,
    ADD COLUMN IF NOT EXISTS `pod_group_id_0` UInt32 ALIAS 0 AFTER `pod_node_id_0`,
    ADD COLUMN IF NOT EXISTS `l3_device_id_0` UInt32 ALIAS 0 AFTER `pod_group_id_0`,
    ADD COLUMN IF NOT EXISTS `service_id_0` UInt32 ALIAS 0 AFTER `l3_device_id_0`,
    ADD COLUMN IF NOT EXISTS `auto_instance_id_0` UInt32 ALIAS 0 AFTER `service_id_0`,
    ADD COLUMN IF NOT EXISTS `auto_service_id_0` UInt32 ALIAS 0 AFTER `auto_instance_id_0`,
    ADD COLUMN IF NOT EXISTS `l3_device_type_0` UInt8 ALIAS 0 AFTER `auto_service_id_0`,
    ADD COLUMN IF NOT EXISTS `auto_instance_type_0` UInt8 ALIAS 0 AFTER `l3_device_type_0`,
    ADD COLUMN IF NOT EXISTS `auto_service_type_0` UInt8 ALIAS 0 AFTER `auto_instance_type_0`,
    ADD COLUMN IF NOT EXISTS `gprocess_id_1` UInt64 ALIAS if(role = 'server', gprocess_id, 0) AFTER `auto_service_type_0`,
    ADD COLUMN IF NOT EXISTS `process_id_1` UInt64 ALIAS if(role = 'server', gprocess_id, 0) AFTER `gprocess_id_1`,
    ADD COLUMN IF NOT EXISTS `pid_1` UInt32 ALIAS if(role = 'server', pid, 0) AFTER `process_id_1`,
    ADD COLUMN IF NOT EXISTS `root_pid_1` UInt32 ALIAS if(role = 'server', root_pid, 0) AFTER `pid_1`,
    ADD COLUMN IF NOT EXISTS `root_process_id_1` UInt64 ALIAS if(role = 'server', root_process_id, 0) AFTER `root_pid_1`,
    ADD COLUMN IF NOT EXISTS `process_kname_1` LowCardinality(String) ALIAS if(role = 'server', process_kname, '') AFTER `root_process_id_1`,
    ADD COLUMN IF NOT EXISTS `address_1` String ALIAS if(role = '', '', if(role = 'server' AND kind NOT IN ('bind', 'listen'), local_address, address)) AFTER `process_kname_1`,
    ADD COLUMN IF NOT EXISTS `port_1` UInt16 ALIAS if(role = '', 0, if(role = 'server' AND kind NOT IN ('bind', 'listen'), local_port, port)) AFTER `address_1`,
    ADD COLUMN IF NOT EXISTS `ip4_1` IPv4 ALIAS toIPv4OrDefault(address_1) AFTER `port_1`,
    ADD COLUMN IF NOT EXISTS `ip6_1` IPv6 ALIAS toIPv6OrDefault(address_1) AFTER `ip4_1`,
    ADD COLUMN IF NOT EXISTS `region_id_1` UInt16 ALIAS 0 AFTER `ip6_1`,
    ADD COLUMN IF NOT EXISTS `az_id_1` UInt16 ALIAS 0 AFTER `region_id_1`,
    ADD COLUMN IF NOT EXISTS `host_id_1` UInt16 ALIAS 0 AFTER `az_id_1`,
    ADD COLUMN IF NOT EXISTS `pod_ns_id_1` UInt16 ALIAS 0 AFTER `host_id_1`,
    ADD COLUMN IF NOT EXISTS `pod_cluster_id_1` UInt16 ALIAS 0 AFTER `pod_ns_id_1`,
    ADD COLUMN IF NOT EXISTS `subnet_id_1` UInt16 ALIAS 0 AFTER `pod_cluster_id_1`,
    ADD COLUMN IF NOT EXISTS `team_id_1` UInt16 ALIAS 0 AFTER `subnet_id_1`,
    ADD COLUMN IF NOT EXISTS `l3_epc_id_1` Int32 ALIAS 0 AFTER `team_id_1`,
    ADD COLUMN IF NOT EXISTS `pod_id_1` UInt32 ALIAS 0 AFTER `l3_epc_id_1`,
    ADD COLUMN IF NOT EXISTS `pod_node_id_1` UInt32 ALIAS 0 AFTER `pod_id_1`,
    ADD COLUMN IF NOT EXISTS `pod_group_id_1` UInt32 ALIAS 0 AFTER `pod_node_id_1`,
    ADD COLUMN IF NOT EXISTS `l3_device_id_1` UInt32 ALIAS 0 AFTER `pod_group_id_1`,
    ADD COLUMN IF NOT EXISTS `service_id_1` UInt32 ALIAS 0 AFTER `l3_device_id_1`,
    ADD COLUMN IF NOT EXISTS `auto_instance_id_1` UInt32 ALIAS 0 AFTER `service_id_1`,
    ADD COLUMN IF NOT EXISTS `auto_service_id_1` UInt32 ALIAS 0 AFTER `auto_instance_id_1`,
    ADD COLUMN IF NOT EXISTS `l3_device_type_1` UInt8 ALIAS 0 AFTER `auto_service_id_1`,
    ADD COLUMN IF NOT EXISTS `auto_instance_type_1` UInt8 ALIAS 0 AFTER `l3_device_type_1`,
    ADD COLUMN IF NOT EXISTS `auto_service_type_1` UInt8 ALIAS 0 AFTER `auto_instance_type_1`,
    ADD INDEX IF NOT EXISTS by_time time TYPE minmax,
    ADD INDEX IF NOT EXISTS by_process gprocess_id TYPE bloom_filter GRANULARITY 1;
ALTER TABLE event.net_event
    MODIFY COLUMN `signal_source` UInt8 ALIAS 8,
    MODIFY COLUMN `is_ipv4` UInt8 ALIAS toUInt8(family != 10);
ALTER TABLE event.net_event MODIFY TTL time + toIntervalHour(168) DELETE WHERE NOT is_recording;
ALTER TABLE event.process
    ADD COLUMN IF NOT EXISTS `tenant_id` UInt32 DEFAULT 1 AFTER `exit_signal`,
    ADD COLUMN IF NOT EXISTS `is_recording` Bool DEFAULT true AFTER `tenant_id`;
ALTER TABLE event.llm_call
    ADD COLUMN IF NOT EXISTS `tenant_id` UInt32 DEFAULT 1 AFTER `answered_tool_call_ids`,
    ADD COLUMN IF NOT EXISTS `is_recording` Bool DEFAULT true AFTER `tenant_id`;
ALTER TABLE event.tool_call
    ADD COLUMN IF NOT EXISTS `tenant_id` UInt32 DEFAULT 1 AFTER `server_side`,
    ADD COLUMN IF NOT EXISTS `is_recording` Bool DEFAULT true AFTER `tenant_id`;
ALTER TABLE event.mcp_call
    ADD COLUMN IF NOT EXISTS `tenant_id` UInt32 DEFAULT 1 AFTER `tool_call_id`,
    ADD COLUMN IF NOT EXISTS `is_recording` Bool DEFAULT true AFTER `tenant_id`;
ALTER TABLE event.agent
    ADD COLUMN IF NOT EXISTS `tenant_id` UInt32 DEFAULT 1 AFTER `last_seen_ns`,
    ADD COLUMN IF NOT EXISTS `is_recording` Bool DEFAULT true AFTER `tenant_id`;
ALTER TABLE event.agent_turn
    ADD COLUMN IF NOT EXISTS `tenant_id` UInt32 DEFAULT 1 AFTER `complete`,
    ADD COLUMN IF NOT EXISTS `is_recording` Bool DEFAULT true AFTER `tenant_id`;
ALTER TABLE event.finding
    ADD COLUMN IF NOT EXISTS `tenant_id` UInt32 DEFAULT 1 AFTER `state`,
    ADD COLUMN IF NOT EXISTS `is_recording` Bool DEFAULT true AFTER `tenant_id`;
ALTER TABLE event.stage_count
    ADD COLUMN IF NOT EXISTS `tenant_id` UInt32 DEFAULT 1 AFTER `passed`,
    ADD COLUMN IF NOT EXISTS `is_recording` Bool DEFAULT true AFTER `tenant_id`;
ALTER TABLE event.loss
    ADD COLUMN IF NOT EXISTS `tenant_id` UInt32 DEFAULT 1 AFTER `note`,
    ADD COLUMN IF NOT EXISTS `is_recording` Bool DEFAULT true AFTER `tenant_id`;
CREATE TABLE IF NOT EXISTS event.host_metric (`run_id` LowCardinality(String), `revision` UInt64, `id` UInt64, `name` String, `value` Float64, `unit` String, `at_ns` Int64, `labels` String, `tenant_id` UInt32 DEFAULT 1, `is_recording` Bool DEFAULT true) ENGINE = MergeTree ORDER BY (run_id, id, revision) TTL toDateTime(intDiv(at_ns, 1000000000)) + toIntervalHour(168) DELETE WHERE NOT is_recording SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 1000, old_parts_lifetime = 30;
ALTER TABLE event.llm_content
    ADD COLUMN IF NOT EXISTS `tenant_id` UInt32 DEFAULT 1 AFTER `tool_definitions`,
    ADD COLUMN IF NOT EXISTS `is_recording` Bool DEFAULT true AFTER `tenant_id`;
ALTER TABLE event.link
    ADD COLUMN IF NOT EXISTS `tenant_id` UInt32 DEFAULT 1 AFTER `at_ns`,
    ADD COLUMN IF NOT EXISTS `is_recording` Bool DEFAULT true AFTER `tenant_id`;
CREATE TABLE IF NOT EXISTS event.gprocess_map (`run_id` LowCardinality(String), `revision` UInt64, `id` UInt64, `name` String, `pid` UInt32, `biz_type` UInt8, `agent_process_id` UInt64, `tenant_id` UInt32 DEFAULT 1, `is_recording` Bool DEFAULT true) ENGINE = MergeTree ORDER BY (id, run_id, revision) SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 1000, old_parts_lifetime = 30;
ALTER TABLE event.run
    ADD COLUMN IF NOT EXISTS `tenant_id` UInt32 DEFAULT 1 AFTER `problem`,
    ADD COLUMN IF NOT EXISTS `is_recording` Bool DEFAULT true AFTER `tenant_id`;
ALTER TABLE event.manifest
    ADD COLUMN IF NOT EXISTS `tenant_id` UInt32 DEFAULT 1 AFTER `rows`,
    ADD COLUMN IF NOT EXISTS `is_recording` Bool DEFAULT true AFTER `tenant_id`;
CREATE TABLE IF NOT EXISTS event.data_source (`id` UInt32, `revision` UInt64, `table_name` LowCardinality(String), `name_en` String, `name_zh` String, `interval_s` UInt32, `retention_hours` UInt32, `is_default` Bool, `state` UInt8, `tenant_id` UInt32 DEFAULT 1, `is_recording` Bool DEFAULT true) ENGINE = MergeTree ORDER BY (id, revision) SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 1000, old_parts_lifetime = 30;
-- A manifest counted segments and now counts slices: runs that were not whole are brought in anew.
ALTER TABLE event.file_agg_event DELETE WHERE run_id NOT IN (SELECT run_id FROM event.manifest WHERE final) SETTINGS mutations_sync = 1;
ALTER TABLE event.file_mgmt_event DELETE WHERE run_id NOT IN (SELECT run_id FROM event.manifest WHERE final) SETTINGS mutations_sync = 1;
ALTER TABLE event.file_open_event DELETE WHERE run_id NOT IN (SELECT run_id FROM event.manifest WHERE final) SETTINGS mutations_sync = 1;
ALTER TABLE event.proc_perm_event DELETE WHERE run_id NOT IN (SELECT run_id FROM event.manifest WHERE final) SETTINGS mutations_sync = 1;
ALTER TABLE event.proc_ops_event DELETE WHERE run_id NOT IN (SELECT run_id FROM event.manifest WHERE final) SETTINGS mutations_sync = 1;
ALTER TABLE event.net_event DELETE WHERE run_id NOT IN (SELECT run_id FROM event.manifest WHERE final) SETTINGS mutations_sync = 1;
ALTER TABLE event.process DELETE WHERE run_id NOT IN (SELECT run_id FROM event.manifest WHERE final) SETTINGS mutations_sync = 1;
ALTER TABLE event.llm_call DELETE WHERE run_id NOT IN (SELECT run_id FROM event.manifest WHERE final) SETTINGS mutations_sync = 1;
ALTER TABLE event.tool_call DELETE WHERE run_id NOT IN (SELECT run_id FROM event.manifest WHERE final) SETTINGS mutations_sync = 1;
ALTER TABLE event.mcp_call DELETE WHERE run_id NOT IN (SELECT run_id FROM event.manifest WHERE final) SETTINGS mutations_sync = 1;
ALTER TABLE event.agent DELETE WHERE run_id NOT IN (SELECT run_id FROM event.manifest WHERE final) SETTINGS mutations_sync = 1;
ALTER TABLE event.agent_turn DELETE WHERE run_id NOT IN (SELECT run_id FROM event.manifest WHERE final) SETTINGS mutations_sync = 1;
ALTER TABLE event.finding DELETE WHERE run_id NOT IN (SELECT run_id FROM event.manifest WHERE final) SETTINGS mutations_sync = 1;
ALTER TABLE event.stage_count DELETE WHERE run_id NOT IN (SELECT run_id FROM event.manifest WHERE final) SETTINGS mutations_sync = 1;
ALTER TABLE event.loss DELETE WHERE run_id NOT IN (SELECT run_id FROM event.manifest WHERE final) SETTINGS mutations_sync = 1;
ALTER TABLE event.llm_content DELETE WHERE run_id NOT IN (SELECT run_id FROM event.manifest WHERE final) SETTINGS mutations_sync = 1;
ALTER TABLE event.link DELETE WHERE run_id NOT IN (SELECT run_id FROM event.manifest WHERE final) SETTINGS mutations_sync = 1;
ALTER TABLE event.run DELETE WHERE run_id NOT IN (SELECT run_id FROM event.manifest WHERE final) SETTINGS mutations_sync = 1;
ALTER TABLE event.manifest DELETE WHERE run_id NOT IN (SELECT run_id FROM event.manifest WHERE final) SETTINGS mutations_sync = 1;
