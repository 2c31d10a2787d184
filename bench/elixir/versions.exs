# Suite `snapshots`, as callers see it: what transactions, forks and the feed of
# changes cost, from an Elixir process to the daemon and back.
#
#   transaction_2r2w          two reads, asked for together, and two writes that
#                             are not awaited, of a caller that is alone, beside
#                             one call to an empty echo port: two round trips
#   transaction_2r2w_apart    the same with the reads one after the other: three
#   transaction_100w          a read and a hundred writes, beside a batch of a
#                             hundred ("batch")
#   fork_discard              a fork, and its end
#   transactions_8            commits a second of 8 callers that each change two
#                             of 10,000 rows, reading both; beside the same
#                             without transactions: two reads and a batch ("plain")
#   conflicts_8               of 100 such commits, how many had to be tried again;
#   conflicts_8_hot           and with 10 rows in place of 10,000
#   feed_64                   writes a second of 64 callers while one process is
#                             told of all, beside nobody ("none")
#   feed_cpu                  CPU time of the daemon for one of these writes

Code.require_file("support.exs", __DIR__)

options = Bench.parse("snapshots", System.argv())
echo = System.fetch_env!("RHIZOME_BENCH_ECHO")
rows = 100_000
calls = if options.quick, do: 1_000, else: 20_000
rounds = if options.quick, do: 2, else: 5
duration = if options.quick, do: 300, else: 2_000

open = fn rows ->
  {:ok, store} = Rhizome.start_link()
  table = Rhizome.create_table!(store, :bench, :to_one)

  for chunk <- Enum.chunk_every(1..rows, 1000) do
    Rhizome.insert_all!(table, Enum.map(chunk, &{&1, &1}))
  end

  {store, table}
end

with_table = fn rows, fun ->
  {store, table} = open.(rows)
  result = fun.(store, table)
  Rhizome.stop(store)
  result
end

p50 = fn count, fun ->
  Bench.latencies(div(count, 10), fun)
  Bench.percentile(Bench.latencies(count, fun), 0.5)
end

# Reads two rows and swaps what is in them.
swap = fn table, a, b ->
  x = Rhizome.get(table, a)
  y = Rhizome.get(table, b)
  Rhizome.put(table, a, y, await: false)
  Rhizome.put(table, b, x, await: false)
end

# The same, reading both at once.
swap_together = fn table, a, b ->
  [x, y] = Rhizome.get_all(table, [a, b])
  Rhizome.put(table, a, y, await: false)
  Rhizome.put(table, b, x, await: false)
end

row = fn i -> rem(i * 7919, rows) + 1 end

transactions = fn swap ->
  with_table.(rows, fn store, table ->
    p50.(calls, fn i ->
      {:ok, :ok} =
        Rhizome.transaction(store, fn tx ->
          swap.(Rhizome.on(table, tx), row.(i), row.(i + 50_000))
        end)
    end)
  end)
end

Bench.run(options, ["transaction_2r2w", "transaction_2r2w_apart"], rows, rounds, [
  {"rhizome",
   fn ->
     [
       {"transaction_2r2w", "us_p50", transactions.(swap_together)},
       {"transaction_2r2w_apart", "us_p50", transactions.(swap)}
     ]
   end},
  {"echo",
   fn ->
     {:ok, server} = Bench.Echo.start_link(echo)

     value =
       p50.(calls, fn i ->
         {:get, :bench, :fwd, _key} = Bench.Echo.call(server, {:get, :bench, :fwd, row.(i)})
       end)

     Bench.Echo.stop(server)
     [{"transaction_2r2w", "us_p50", value}]
   end}
])

hundred = fn i -> for n <- 1..100, do: {row.(i + n), i} end

Bench.run(options, ["transaction_100w"], rows, rounds, [
  {"rhizome",
   fn ->
     with_table.(rows, fn store, table ->
       value =
         p50.(div(calls, 10), fn i ->
           {:ok, :ok} =
             Rhizome.transaction(store, fn tx ->
               table = Rhizome.on(table, tx)
               _read = Rhizome.get(table, row.(i))
               for {key, value} <- hundred.(i), do: Rhizome.put(table, key, value, await: false)
               :ok
             end)
         end)

       [{"transaction_100w", "us_p50", value}]
     end)
   end},
  {"batch",
   fn ->
     with_table.(rows, fn store, table ->
       value =
         p50.(div(calls, 10), fn i ->
           batch =
             Enum.reduce(hundred.(i), Rhizome.Batch.new(), fn {key, value}, batch ->
               Rhizome.Batch.put(batch, table, key, value)
             end)

           {:ok, _results} = Rhizome.run(store, batch)
         end)

       [{"transaction_100w", "us_p50", value}]
     end)
   end}
])

Bench.run(options, ["fork_discard"], rows, rounds, [
  {"rhizome",
   fn ->
     with_table.(rows, fn store, _table ->
       value = p50.(calls, fn _ -> store |> Rhizome.fork!() |> Rhizome.discard() end)
       [{"fork_discard", "us_p50", value}]
     end)
   end}
])

## Several at a time

# Commits a second, and how many of a hundred were tried again.
swaps = fn store, table, rows ->
  tries = :counters.new(2, [])

  swap_two = fn _ ->
    a = :rand.uniform(rows)
    b = :rand.uniform(rows)

    {:ok, :ok} =
      Rhizome.transaction(
        store,
        fn tx ->
          :counters.add(tries, 1, 1)
          swap.(Rhizome.on(table, tx), a, b)
        end,
        max_retries: 1000
      )

    :counters.add(tries, 2, 1)
  end

  rate = Bench.throughput(8, duration, swap_two)
  commits = :counters.get(tries, 2)
  {rate, 100 * (:counters.get(tries, 1) - commits) / commits}
end

Bench.run(options, ["transactions_8", "conflicts_8"], 10_000, rounds, [
  {"rhizome",
   fn ->
     with_table.(10_000, fn store, table ->
       {rate, again} = swaps.(store, table, 10_000)
       [{"transactions_8", "ops_per_s", rate}, {"conflicts_8", "percent", again}]
     end)
   end},
  {"plain",
   fn ->
     with_table.(10_000, fn store, table ->
       rate =
         Bench.throughput(8, duration, fn _ ->
           a = :rand.uniform(10_000)
           b = :rand.uniform(10_000)
           x = Rhizome.get(table, a)
           y = Rhizome.get(table, b)

           batch =
             Rhizome.Batch.new()
             |> Rhizome.Batch.put(table, a, y)
             |> Rhizome.Batch.put(table, b, x)

           {:ok, _results} = Rhizome.run(store, batch)
         end)

       [{"transactions_8", "ops_per_s", rate}]
     end)
   end}
])

Bench.run(options, ["conflicts_8_hot"], 10, rounds, [
  {"rhizome",
   fn ->
     with_table.(10, fn store, table ->
       {_rate, again} = swaps.(store, table, 10)
       [{"conflicts_8_hot", "percent", again}]
     end)
   end}
])

## The feed

defmodule Bench.Listener do
  # A process that is told of all changes, and counts them.
  def start(store) do
    test = self()

    listener =
      spawn_link(fn ->
        {:ok, %{ref: ref}} = Rhizome.subscribe(store, :all)
        send(test, {:listening, self()})
        listen(ref, 0)
      end)

    receive do
      {:listening, ^listener} -> listener
    end
  end

  # Waits until it has been told of `count`.
  def finish(listener, count) do
    send(listener, {:finish, self(), count})

    receive do
      {:told, ^listener} -> :ok
    end
  end

  defp listen(ref, told) do
    receive do
      {:rhizome, ^ref, {:changes, changes}} -> listen(ref, told + length(changes))
      {:rhizome, ^ref, {:overflow, _seq}} -> raise "the subscriber is too slow"
      {:finish, from, count} when told >= count -> send(from, {:told, self()})
      {:finish, from, count} -> await(ref, told, from, count)
    end
  end

  defp await(_ref, told, from, count) when told >= count, do: send(from, {:told, self()})

  defp await(ref, told, from, count) do
    receive do
      {:rhizome, ^ref, {:changes, changes}} -> await(ref, told + length(changes), from, count)
      {:rhizome, ^ref, {:overflow, _seq}} -> raise "the subscriber is too slow"
    end
  end
end

# CPU time of a process so far, in seconds.
cpu = fn os_pid ->
  fields = "/proc/#{os_pid}/stat" |> File.read!() |> String.split(") ") |> List.last()
  fields = String.split(fields)
  user = fields |> Enum.at(11) |> String.to_integer()
  system = fields |> Enum.at(12) |> String.to_integer()
  (user + system) / 100
end

writes = fn subscribed ->
  with_table.(rows, fn store, table ->
    %{os_pid: os_pid, seq: seq} = Rhizome.info(store)
    listener = subscribed && Bench.Listener.start(store)
    before = cpu.(os_pid)

    rate =
      Bench.throughput(64, 2 * duration, fn i ->
        Rhizome.put!(table, row.(i), :erlang.unique_integer())
      end)

    count = Rhizome.info(store).seq - seq
    if listener, do: Bench.Listener.finish(listener, count)
    took = cpu.(os_pid) - before
    [{"feed_64", "ops_per_s", rate}, {"feed_cpu", "ns", 1.0e9 * took / count}]
  end)
end

Bench.run(options, ["feed_64", "feed_cpu"], rows, rounds, [
  {"rhizome", fn -> writes.(true) end},
  {"none", fn -> writes.(false) end}
])
