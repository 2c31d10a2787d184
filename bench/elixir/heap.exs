# Suite `heap`: what data does to the VM that it lives in, or beside. Four processes
# insert N pairs in batches of 1,000; meanwhile two others exchange a message a
# millisecond, and one reads the partners of a key a millisecond.
#
#   load_bystander_p99, _max   round trips of the two
#   load_read_p50, _p99, _max  of the one who reads
#   load_gc_count, load_gc     garbage collections of the process that has the data, or
#                              that leads to it, and the time that they took together
#   load_gc_pause              the longest of them
#   held_bytes                 by how much the memory of the VM has grown, for a pair
#   held_gc                    a full collection of that process when it has them all
#
# ETS and Mnesia have no such process, and their tables are never collected.

for file <- ~w(support server redis peers/peer peers/rhizome peers/ets peers/gen_server
               peers/mnesia peers/redis) do
  Code.require_file("#{file}.exs", __DIR__)
end

alias Bench.Peer

defmodule Bench.Collections do
  # Counts the garbage collections of a process, from outside of it.
  def watch(nil), do: nil

  def watch(pid) do
    parent = self()

    watcher =
      spawn_link(fn ->
        1 = :erlang.trace(pid, true, [:garbage_collection, :monotonic_timestamp])
        send(parent, {:watching, self()})
        count(%{count: 0, sum: 0, longest: 0, began: nil})
      end)

    receive do
      {:watching, ^watcher} -> watcher
    end
  end

  # {how many, milliseconds of all, of the longest}
  def stop(watcher) do
    send(watcher, {:stop, self()})

    receive do
      {:collections, ^watcher, figures} ->
        {figures.count, milliseconds(figures.sum), milliseconds(figures.longest)}
    end
  end

  defp milliseconds(time), do: System.convert_time_unit(time, :native, :nanosecond) / 1.0e6

  defp count(figures) do
    receive do
      {:trace_ts, _pid, kind, _info, now} when kind in [:gc_minor_start, :gc_major_start] ->
        count(%{figures | began: now})

      {:trace_ts, _pid, _end, _info, now} ->
        took = now - (figures.began || now)

        count(%{
          count: figures.count + 1,
          sum: figures.sum + took,
          longest: max(figures.longest, took),
          began: nil
        })

      {:stop, from} ->
        send(from, {:collections, self(), figures})
    end
  end
end

options = Bench.parse("heap", System.argv())
n = options.n || if options.quick, do: 100_000, else: 1_000_000
rounds = if options.quick, do: 1, else: 3

subjects = [
  {"rhizome", Peer.Rhizome},
  {"ets", Peer.Ets},
  {"gen_server", Peer.GenServer},
  {"mnesia_dirty", Peer.MnesiaDirty},
  {"redis", Peer.Redis}
]

loads =
  ["load_bystander_p99", "load_bystander_max", "load_read_p50", "load_read_p99"] ++
    ["load_read_max", "load_gc_count", "load_gc", "load_gc_pause", "held_bytes", "held_gc"]

if Bench.wanted?(options, loads) do
  batches = Bench.batches(n, 1000)

  # Reads one key a millisecond until it is told to stop.
  read = fn module, instance ->
    parent = self()

    spawn_link(fn ->
      loop = fn loop, samples ->
        receive do
          :stop -> send(parent, {:samples, Enum.sort(samples)})
        after
          1 ->
            key = :rand.uniform(div(n, 8))
            [took] = Bench.latencies(1, fn _ -> module.fwd(instance, key) end)
            loop.(loop, [took | samples])
        end
      end

      loop.(loop, [])
    end)
  end

  # Of the VM, without garbage.
  memory = fn ->
    for pid <- Process.list(), do: :erlang.garbage_collect(pid)
    :erlang.memory(:total)
  end

  measure = fn module ->
    instance = module.start(:many_to_many)
    holder = Peer.holder(module, instance)
    before = memory.()
    watcher = Bench.Collections.watch(holder)
    reader = read.(module, instance)

    bystanders =
      Bench.Bystander.samples(fn ->
        batches
        |> Task.async_stream(&module.insert_all(instance, &1),
          max_concurrency: 4,
          timeout: :infinity
        )
        |> Stream.run()
      end)

    send(reader, :stop)
    reads = receive(do: ({:samples, samples} -> samples))

    collections =
      if watcher do
        {count, sum, longest} = Bench.Collections.stop(watcher)
        took = Bench.seconds(fn -> :erlang.garbage_collect(holder) end)

        [
          {"load_gc_count", "count", count},
          {"load_gc", "ms", sum},
          {"load_gc_pause", "ms", longest},
          {"held_gc", "ms", 1000 * took}
        ]
      end

    held = memory.() - before
    count = module.count(instance)
    if count < n - div(n, 100) or count > n, do: raise("#{count} pairs in #{inspect(module)}")
    module.stop(instance)

    (collections || []) ++
      [
        {"load_bystander_p99", "us", Bench.percentile(bystanders, 0.99)},
        {"load_bystander_max", "us", List.last(bystanders)},
        {"load_read_p50", "us_p50", Bench.percentile(reads, 0.5)},
        {"load_read_p99", "us_p99", Bench.percentile(reads, 0.99)},
        {"load_read_max", "us", List.last(reads)},
        {"held_bytes", "bytes", held / count}
      ]
  end

  Bench.run(
    options,
    loads,
    n,
    rounds,
    for(
      {name, module} <- subjects,
      module.available() == :ok,
      do: {name, fn -> measure.(module) end}
    )
  )
end
