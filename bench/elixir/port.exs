# Everything that goes through a port, and what the BEAM does without one.
#
#   call_1, calls_64, calls_512   a point read of one, 64 and 512 callers
#   m2m_batch_1m, m2m_bytes_1m    a million random pairs in batches of 1,000
#   rank_page_1m                  50 pairs from position 500,000 on
#   bystander_p99                 two unrelated processes that exchange a
#                                 message while four others insert a million
#                                 pairs in batches of 1,000; _1_: one other
#   start_reply                   from opening the port to the first reply
#   idle_rss, stores_1000_rss     resident set of one daemon; of each of 1,000

Code.require_file("support.exs", __DIR__)

options = Bench.parse("port", System.argv())
echo = System.fetch_env!("RHIZOME_BENCH_ECHO")
{n, size} = {1_000_000, "1m"}

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
     end}
  ]
end

calls = if options.quick, do: 10_000, else: 50_000

Bench.run(
  options,
  ["call_1", "call_1_p99"],
  rows,
  5,
  call_subjects.(fn call ->
    Bench.latencies(2_000, call)
    sorted = Bench.latencies(calls, call)

    [
      {"call_1", "us_p50", Bench.percentile(sorted, 0.5)},
      {"call_1_p99", "us_p99", Bench.percentile(sorted, 0.99)}
    ]
  end)
)

duration = if options.quick, do: 1_000, else: 3_000

for callers <- [64, 512] do
  Bench.run(
    options,
    ["calls_#{callers}"],
    rows,
    if(options.quick, do: 3, else: 5),
    call_subjects.(fn call ->
      Bench.throughput(callers, 300, call)
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

Bench.run(
  options,
  ["m2m_batch_#{size}", "m2m_bytes_#{size}", "m2m_table_bytes_#{size}"],
  n,
  if(options.quick, do: 2, else: 5),
  [
    {"rhizome",
     fn ->
       store = start.()
       table = Rhizome.create_table!(store, :bench, :many_to_many)
       pid = os_pid.(store)
       before = Bench.resident(pid)
       took = Bench.seconds(fn -> insert_concurrently.(table) end)
       info = Rhizome.table_info(table)
       bytes = Bench.resident(pid) - before
       Rhizome.stop(store)

       [
         {"m2m_batch_#{size}", "pairs_per_s", n / took},
         {"m2m_bytes_#{size}", "bytes", bytes / info.count},
         {"m2m_table_bytes_#{size}", "bytes", info.bytes / info.count}
       ]
     end},
    {"ets",
     fn ->
       tables = Bench.Ets.new()
       took = Bench.seconds(fn -> Enum.each(batches, &Bench.Ets.insert_all(tables, &1)) end)
       bytes = Bench.Ets.bytes(tables) / Bench.Ets.count(tables)
       Bench.Ets.delete(tables)
       [{"m2m_batch_#{size}", "pairs_per_s", n / took}, {"m2m_bytes_#{size}", "bytes", bytes}]
     end}
  ]
)

if Bench.wanted?(options, ["rank_page_#{size}"]) do
  store = start.()
  table = Rhizome.create_table!(store, :bench, :many_to_many)
  insert_concurrently.(table)
  tables = Bench.Ets.new()
  Enum.each(batches, &Bench.Ets.insert_all(tables, &1))
  position = div(n, 2)

  if Rhizome.slice(table, position, 50) != Bench.Ets.page(tables, position, 50) do
    raise "the pages differ"
  end

  p50 = fn count, fun ->
    fun.(0)
    [{"rank_page_#{size}", "us_p50", Bench.percentile(Bench.latencies(count, fun), 0.5)}]
  end

  Bench.run(options, ["rank_page_#{size}"], n, if(options.quick, do: 3, else: 5), [
    {"rhizome", fn -> p50.(500, fn _ -> Rhizome.slice(table, position, 50) end) end},
    {"ets", fn -> p50.(5, fn _ -> Bench.Ets.page(tables, position, 50) end) end}
  ])

  Bench.Ets.delete(tables)
  Rhizome.stop(store)
end

## A bystander

defmodule Bench.Bystander do
  # Round trips between two processes, one a millisecond, until `work` is done.
  def p99(work) do
    worker = Task.async(work)
    partner = spawn_link(&echo/0)
    sorted = worker |> sample(partner, []) |> Enum.sort()
    Process.unlink(partner)
    Process.exit(partner, :kill)
    Bench.percentile(sorted, 0.99)
  end

  defp sample(worker, partner, samples) do
    case Task.yield(worker, 1) do
      nil ->
        began = System.monotonic_time()
        send(partner, {:ping, self()})

        receive do
          :pong -> :ok
        end

        took = System.convert_time_unit(System.monotonic_time() - began, :native, :nanosecond)
        sample(worker, partner, [took / 1000 | samples])

      {:ok, _} ->
        samples
    end
  end

  defp echo do
    receive do
      {:ping, from} -> send(from, :pong)
    end

    echo()
  end
end

# With one writer ETS leaves the other of two schedulers to the bystanders, and
# the figure says little more than that; four writers are a store under load.
for {case_name, writers} <- [{"bystander_p99", 4}, {"bystander_1_p99", 1}] do
  insert = fn insert_all ->
    fn ->
      batches
      |> Task.async_stream(insert_all, max_concurrency: writers, timeout: :infinity)
      |> Stream.run()
    end
  end

  Bench.run(options, [case_name], n, if(options.quick, do: 2, else: 5), [
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

Bench.run(options, ["stores_1000_rss"], 1000, 1, [
  {"rhizome",
   fn ->
     names = for i <- 1..1000, do: :"bench_#{i}"

     {:ok, supervisor} =
       Supervisor.start_link(for(name <- names, do: {Rhizome, name: name}),
         strategy: :one_for_one
       )

     bytes = for name <- names, do: Bench.resident(os_pid.(name))
     Supervisor.stop(supervisor)
     [{"stores_1000_rss", "mib", Enum.sum(bytes) / 1000 / 1_048_576}]
   end}
])
