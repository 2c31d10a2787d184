# Suite `termlog`, as callers see it: a mutation that is on the disk when it is
# answered, of 64 and of 512 callers, beside Redis with appendfsync always.
#
#   log_always_64, log_always_512     callers that wait for the disk each time
#   log_interval_64                   synced each second; Redis: everysec
#   log_none_64                       a store in memory only, for comparison
#
# Each caller puts 100 bytes under a key of 13, again and again, and waits for
# the answer. Redis gets one connection a caller. Both write below TMPDIR.

for file <- ~w(support server redis), do: Code.require_file("#{file}.exs", __DIR__)

options = Bench.parse("termlog", System.argv())
duration = if options.quick, do: 400, else: 2_000
rounds = if options.quick, do: 2, else: 5
value = :binary.copy("v", 100)

key = fn i -> "key:" <> String.pad_leading(Integer.to_string(rem(i, 1_000_000_000)), 9, "0") end

measure = fn case_name, callers, put ->
  Bench.throughput(callers, div(duration, 10), put)
  [{case_name, "ops_per_s", Bench.throughput(callers, duration, put)}]
end

rhizome = fn case_name, callers, start_options ->
  path = Bench.Server.new_directory()

  start_options = if start_options[:sync], do: [{:dir, path} | start_options], else: start_options

  {:ok, store} = Rhizome.start_link(start_options)
  table = Rhizome.create_table!(store, :bench, :to_one)
  result = measure.(case_name, callers, fn i -> Rhizome.put!(table, key.(i), value) end)
  Rhizome.stop(store)
  File.rm_rf!(path)
  result
end

redis = fn case_name, callers, appendfsync ->
  path = Bench.Server.new_directory()

  server =
    Bench.Redis.start!(["--dir", path, "--appendonly", "yes", "--appendfsync", appendfsync])

  result =
    measure.(case_name, callers, fn i -> Bench.Redis.set(server.number, key.(i), value) end)

  Bench.Redis.stop(server)
  File.rm_rf!(path)
  result
end

for {callers, sync, appendfsync, name} <- [
      {64, :always, "always", "log_always_64"},
      {512, :always, "always", "log_always_512"},
      {64, {:interval, 1000}, "everysec", "log_interval_64"}
    ] do
  Bench.run(options, [name], callers, rounds, [
    {"rhizome", fn -> rhizome.(name, callers, sync: sync) end},
    {"redis", fn -> redis.(name, callers, appendfsync) end}
  ])
end

Bench.run(options, ["log_none_64"], 64, rounds, [
  {"rhizome", fn -> rhizome.("log_none_64", 64, []) end}
])
