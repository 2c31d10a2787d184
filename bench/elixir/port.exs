# Everything that goes through a port, and what the BEAM does without one.
#
#   call_1, calls_8, _64, _512    a point read of one, 8, 64 and 512 callers, beside
#                                 three floors: a port program that sends each frame
#                                 back, the same with the requests that wait in one
#                                 frame, and a GenServer that answers at once
#   m2m_batch_1m, m2m_bytes_1m    a million random pairs in batches of 1,000
#   rank_page_1m                  50 pairs from position 500,000 on
#   bystander_p99                 two unrelated processes that exchange a
#                                 message while four others insert a million
#                                 pairs in batches of 1,000; _1_: one other
#   start_reply                   from opening the port to the first reply
#   idle_rss                      resident set of one daemon

Code.require_file("support.exs", __DIR__)

options = Bench.parse("port", System.argv())
echo = System.fetch_env!("RHIZOME_BENCH_ECHO")
{n, size} = {1_000_000, "1m"}
rounds = if options.quick, do: 2, else: 5
# Of what takes seconds.
long_rounds = if options.quick, do: 1, else: 5

start = fn ->
  {:ok, store} = Rhizome.start_link()
  store
end

os_pid = fn store -> Rhizome.info(store).os_pid end

## Calls

rows = 100_000

call_subjects = fn measure ->
  [
    {"rhizome",
     fn ->
       store = start.()
       table = Rhizome.create_table!(store, :bench, :to_one)

       for chunk <- Enum.chunk_every(1..rows, 1000) do
         Rhizome.insert_all!(table, Enum.map(chunk, &{&1, &1}))
       end

       result =
         measure.(fn i ->
           key = rem(i * 7919, rows) + 1
           ^key = Rhizome.get(table, key)
         end)

       Rhizome.stop(store)
       result
     end},
    {"echo",
     fn ->
       {:ok, server} = Bench.Echo.start_link(echo)

       result =
         measure.(fn i ->
           key = rem(i * 7919, rows) + 1
           {:get, :bench, :fwd, ^key} = Bench.Echo.call(server, {:get, :bench, :fwd, key})
         end)

       Bench.Echo.stop(server)
       result
     end},
    {"echo_gathered",
     fn ->
       {:ok, server} = Bench.GatheringEcho.start_link(echo)

       result =
         measure.(fn i ->
           key = rem(i * 7919, rows) + 1

           {:get, :bench, :fwd, ^key} =
             Bench.GatheringEcho.call(server, {:get, :bench, :fwd, key})
         end)

       Bench.GatheringEcho.stop(server)
       result
     end},
    {"gen_server",
     fn ->
       {:ok, server} = Bench.Nothing.start_link()

       result =
         measure.(fn i ->
           key = rem(i * 7919, rows) + 1
           {:get, :bench, :fwd, ^key} = GenServer.call(server, {:get, :bench, :fwd, key})
         end)

       GenServer.stop(server)
       result
     end}
  ]
end

calls = if options.quick, do: 3_000, else: 50_000

Bench.run(
  options,
  ["call_1", "call_1_p99"],
  rows,
  rounds,
  call_subjects.(fn call ->
    Bench.latencies(div(calls, 10), call)
    sorted = Bench.latencies(calls, call)

    [
      {"call_1", "us_p50", Bench.percentile(sorted, 0.5)},
      {"call_1_p99", "us_p99", Bench.percentile(sorted, 0.99)}
    ]
  end)
)

duration = if options.quick, do: 300, else: 2_000

for callers <- [8, 64, 512] do
  Bench.run(
    options,
    ["calls_#{callers}"],
    rows,
    rounds,
    call_subjects.(fn call ->
      Bench.throughput(callers, div(duration, 10), call)
      [{"calls_#{callers}", "ops_per_s", Bench.throughput(callers, duration, call)}]
    end)
  )
end

## A million pairs

batches =
  if Bench.wanted?(options, ["m2m_batch_1m", "m2m_bytes_1m", "m2m_table_bytes_1m"]) or
       Bench.wanted?(options, ["rank_page_1m", "bystander_p99", "bystander_1_p99"]) do
    Bench.batches(n, 1000)
  else
    []
  end

insert_concurrently = fn table ->
  batches
  |> Task.async_stream(&Rhizome.insert_all!(table, &1),
    max_concurrency: 4,
    ordered: false,
    timeout: :infinity
  )
  |> Stream.run()
end

# What the last round has filled stays for the pages.
drop = fn subject ->
  case Process.delete(subject) do
    {store, _table} when subject == :rhizome -> Rhizome.stop(store)
    nil -> :ok
    tables -> Bench.Ets.delete(tables)
  end
end

Bench.run(
  options,
  ["m2m_batch_#{size}", "m2m_bytes_#{size}", "m2m_table_bytes_#{size}"],
  n,
  long_rounds,
  [
    {"rhizome",
     fn ->
       drop.(:rhizome)
       store = start.()
       table = Rhizome.create_table!(store, :bench, :many_to_many)
       pid = os_pid.(store)
       before = Bench.resident(pid)
       took = Bench.seconds(fn -> insert_concurrently.(table) end)
       info = Rhizome.table_info(table)
       bytes = Bench.resident(pid) - before
       Process.put(:rhizome, {store, table})

       [
         {"m2m_batch_#{size}", "pairs_per_s", n / took},
         {"m2m_bytes_#{size}", "bytes", bytes / info.count},
         {"m2m_table_bytes_#{size}", "bytes", info.bytes / info.count}
       ]
     end},
    {"ets",
     fn ->
       drop.(:ets)
       tables = Bench.Ets.new()
       took = Bench.seconds(fn -> Enum.each(batches, &Bench.Ets.insert_all(tables, &1)) end)
       bytes = Bench.Ets.bytes(tables) / Bench.Ets.count(tables)
       Process.put(:ets, tables)
       [{"m2m_batch_#{size}", "pairs_per_s", n / took}, {"m2m_bytes_#{size}", "bytes", bytes}]
     end}
  ]
)

if Bench.wanted?(options, ["rank_page_#{size}"]) do
  if Process.get(:rhizome) == nil do
    store = start.()
    table = Rhizome.create_table!(store, :bench, :many_to_many)
    insert_concurrently.(table)
    Process.put(:rhizome, {store, table})
    tables = Bench.Ets.new()
    Enum.each(batches, &Bench.Ets.insert_all(tables, &1))
    Process.put(:ets, tables)
  end

  {_store, table} = Process.get(:rhizome)
  tables = Process.get(:ets)
  position = div(n, 2)

  if Rhizome.slice(table, position, 50) != Bench.Ets.page(tables, position, 50) do
    raise "the pages differ"
  end

  p50 = fn count, fun ->
    fun.(0)
    [{"rank_page_#{size}", "us_p50", Bench.percentile(Bench.latencies(count, fun), 0.5)}]
  end

  Bench.run(options, ["rank_page_#{size}"], n, rounds, [
    {"rhizome", fn -> p50.(500, fn _ -> Rhizome.slice(table, position, 50) end) end},
    {"ets", fn -> p50.(5, fn _ -> Bench.Ets.page(tables, position, 50) end) end}
  ])
end

for subject <- [:rhizome, :ets], do: drop.(subject)

## A bystander

# With one writer ETS leaves the other of two schedulers to the bystanders, and
# the figure says little more than that; four writers are a store under load.
for {case_name, writers} <- [{"bystander_p99", 4}, {"bystander_1_p99", 1}],
    writers == 4 or not options.quick or options.names != [] do
  insert = fn insert_all ->
    fn ->
      batches
      |> Task.async_stream(insert_all, max_concurrency: writers, timeout: :infinity)
      |> Stream.run()
    end
  end

  Bench.run(options, [case_name], n, long_rounds, [
    {"rhizome",
     fn ->
       store = start.()
       table = Rhizome.create_table!(store, :bench, :many_to_many)
       p99 = Bench.Bystander.p99(insert.(&Rhizome.insert_all!(table, &1)))
       Rhizome.stop(store)
       [{case_name, "us", p99}]
     end},
    {"ets",
     fn ->
       tables = Bench.Ets.new()
       p99 = Bench.Bystander.p99(insert.(&Bench.Ets.insert_all(tables, &1)))
       Bench.Ets.delete(tables)
       [{case_name, "us", p99}]
     end}
  ])
end

## Start and rest

starts = if options.quick, do: 20, else: 50

first_reply = fn fun ->
  sorted =
    for _ <- 1..starts do
      began = System.monotonic_time()
      stop = fun.()
      took = System.convert_time_unit(System.monotonic_time() - began, :native, :nanosecond)
      stop.()
      took / 1.0e6
    end

  [{"start_reply", "ms_p50", Bench.percentile(Enum.sort(sorted), 0.5)}]
end

Bench.run(options, ["start_reply"], starts, 3, [
  {"rhizome",
   fn ->
     first_reply.(fn ->
       store = start.()
       :ok = Rhizome.ping(store)
       fn -> Rhizome.stop(store) end
     end)
   end},
  {"echo",
   fn ->
     first_reply.(fn ->
       {:ok, server} = Bench.Echo.start_link(echo)
       {:ping} = Bench.Echo.call(server, {:ping})
       fn -> Bench.Echo.stop(server) end
     end)
   end}
])

Bench.run(options, ["idle_rss"], 1, 3, [
  {"rhizome",
   fn ->
     store = start.()
     bytes = Bench.resident(os_pid.(store))
     Rhizome.stop(store)
     [{"idle_rss", "mib", bytes / 1_048_576}]
   end}
])
