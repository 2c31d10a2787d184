# Suite `stores`: a thousand small stores under one supervisor.
#
#   stores_1000_start      stores a second, all started one after the other by their
#                          supervisor, each of which has answered by then
#   stores_1000_rss        resident set of the daemon of each, empty; _small: when
#                          each has a hundred pairs
#   stores_1000_call       a point read of one of them, the others idle, beside a
#                          store that is the only one ("alone"); _p99
#   stores_1000_spread     a point read of another one each time; _p99

Code.require_file("support.exs", __DIR__)

options = Bench.parse("stores", System.argv())
count = 1000
calls = if options.quick, do: 2_000, else: 20_000
rounds = if options.quick, do: 1, else: 3
pairs = 100

latencies = fn case_name, fun ->
  Bench.latencies(div(calls, 10), fun)
  sorted = Bench.latencies(calls, fun)

  [
    {case_name, "us_p50", Bench.percentile(sorted, 0.5)},
    {case_name <> "_p99", "us_p99", Bench.percentile(sorted, 0.99)}
  ]
end

fill = fn store ->
  table = Rhizome.create_table!(store, :bench, :many_to_many)
  Rhizome.insert_all!(table, for(i <- 1..pairs, do: {rem(i, 10), i}))
  table
end

read = fn table, i ->
  b = rem(i, pairs) + 1
  true = Rhizome.member?(table, {rem(b, 10), b})
end

cases =
  ["stores_1000_start", "stores_1000_rss", "stores_1000_small_rss"] ++
    ["stores_1000_call", "stores_1000_call_p99", "stores_1000_spread", "stores_1000_spread_p99"]

Bench.run(options, cases, count, rounds, [
  {"rhizome",
   fn ->
     names = for i <- 1..count, do: :"bench_#{i}"
     children = for name <- names, do: {Rhizome, name: name}
     began = System.monotonic_time()
     {:ok, supervisor} = Supervisor.start_link(children, strategy: :one_for_one)
     took = System.convert_time_unit(System.monotonic_time() - began, :native, :nanosecond)

     resident = fn ->
       Enum.sum(for name <- names, do: Bench.resident(Rhizome.info(name).os_pid)) / count
     end

     empty = resident.()
     tables = names |> Enum.map(fill) |> List.to_tuple()
     small = resident.()

     results = [
       {"stores_1000_start", "stores_per_s", count / (took / 1.0e9)},
       {"stores_1000_rss", "mib", empty / 1_048_576},
       {"stores_1000_small_rss", "mib", small / 1_048_576},
       latencies.("stores_1000_call", &read.(elem(tables, 500), &1)),
       latencies.("stores_1000_spread", &read.(elem(tables, rem(&1 * 7919, count)), &1))
     ]

     Supervisor.stop(supervisor)
     List.flatten(results)
   end},
  {"alone",
   fn ->
     {:ok, store} = Rhizome.start_link()
     table = fill.(store)
     results = latencies.("stores_1000_call", &read.(table, &1))
     Rhizome.stop(store)
     results
   end}
])
