defmodule Bench do
  # How the benchmarks of the whole road, from an Elixir caller to the daemon
  # and back, are run and reported. Subjects take turns within a round, so that
  # a slow minute of the machine falls on all of them; what is reported is the
  # median over the rounds, one JSON object a line on standard output.

  defstruct suite: nil, quick: false, rounds: nil, n: nil, names: []

  def parse(suite, arguments) do
    {options, names} =
      OptionParser.parse!(arguments,
        strict: [quick: :boolean, rounds: :integer, n: :integer, only: :keep]
      )

    %__MODULE__{
      suite: suite,
      quick: options[:quick] || false,
      rounds: options[:rounds],
      n: options[:n],
      names: Keyword.get_values(options, :only) ++ names
    }
  end

  def wanted?(%{names: []}, _cases), do: true

  def wanted?(%{names: names, suite: suite}, cases) do
    Enum.any?(cases, fn case_name ->
      Enum.any?(names, &(&1 == suite or String.starts_with?(case_name, &1)))
    end)
  end

  # `subjects` is a list of {name, fun}; fun returns [{case, metric, value}].
  def run(options, cases, n, rounds, subjects) do
    if wanted?(options, cases) do
      for round <- 1..(options.rounds || rounds), {subject, fun} <- subjects do
        IO.puts(:stderr, "#{options.suite} #{hd(cases)}: #{subject}, round #{round}")
        for {case_name, metric, value} <- fun.(), do: {{case_name, subject, metric}, value}
      end
      |> List.flatten()
      |> Enum.group_by(&elem(&1, 0), &elem(&1, 1))
      |> Enum.sort()
      |> Enum.filter(fn {{case_name, _subject, _metric}, _values} ->
        wanted?(options, [case_name])
      end)
      |> Enum.each(&print(options.suite, &1, n))
    end
  end

  defp print(suite, {{case_name, subject, metric}, values}, n) do
    sorted = Enum.sort(values)

    fields = [
      suite: suite,
      case: case_name,
      subject: subject,
      n: n,
      metric: metric,
      unit: unit(metric),
      value: percentile(sorted, 0.5),
      min: hd(sorted),
      max: List.last(sorted),
      runs: length(sorted)
    ]

    IO.puts(["{", Enum.map_join(fields, ",", fn {k, v} -> ~s("#{k}":#{json(v)}) end), "}"])
  end

  defp json(value) when is_float(value), do: :erlang.float_to_binary(value, decimals: 4)
  defp json(value) when is_integer(value), do: Integer.to_string(value)
  defp json(value) when is_binary(value), do: ~s("#{value}")

  defp unit("us" <> _), do: "us"
  defp unit("ms" <> _), do: "ms"
  defp unit("mib"), do: "MiB"
  defp unit("ops_per_s"), do: "ops/s"
  defp unit("pairs_per_s"), do: "pairs/s"
  defp unit("edges_per_s"), do: "edges/s"
  defp unit("stores_per_s"), do: "stores/s"
  defp unit("mib_per_s"), do: "MiB/s"
  defp unit(metric), do: metric

  # Of a sorted list; 0.5 is the median.
  def percentile(sorted, fraction) do
    tuple = List.to_tuple(sorted)
    at = fraction * (tuple_size(tuple) - 1)
    low = elem(tuple, floor(at))
    high = elem(tuple, ceil(at))
    low + (high - low) * (at - floor(at))
  end

  # Microseconds that `fun` takes, for each of `count` calls, sorted.
  def latencies(count, fun) do
    for i <- 1..count do
      began = System.monotonic_time()
      fun.(i)
      System.monotonic_time() - began
    end
    |> Enum.map(&(System.convert_time_unit(&1, :native, :nanosecond) / 1000))
    |> Enum.sort()
  end

  def seconds(fun) do
    began = System.monotonic_time()
    fun.()
    System.convert_time_unit(System.monotonic_time() - began, :native, :nanosecond) / 1.0e9
  end

  # Calls a second of `callers` processes that call `fun` in a loop.
  def throughput(callers, milliseconds, fun) do
    {_made, rate} = calls(callers, milliseconds, fun)
    rate
  end

  # {how many were made, how many a second}. Each caller has made one before the
  # clock starts: starting a process, and what it does the first time, such as
  # opening a connection, is no part of a call.
  def calls(callers, milliseconds, fun) do
    parent = self()
    tasks = for n <- 1..callers, do: Task.async(fn -> call(parent, fun, n * 1_000_003) end)

    for %{pid: pid} <- tasks do
      receive do
        {:ready, ^pid} -> :ok
      end
    end

    stop_at = System.monotonic_time(:millisecond) + milliseconds
    began = System.monotonic_time()
    for %{pid: pid} <- tasks, do: send(pid, {:until, stop_at})
    count = tasks |> Task.await_many(:infinity) |> Enum.sum()
    took = System.convert_time_unit(System.monotonic_time() - began, :native, :nanosecond)
    {count + callers, count / (took / 1.0e9)}
  end

  defp call(parent, fun, seed) do
    fun.(seed)
    send(parent, {:ready, self()})

    receive do
      {:until, stop_at} -> call_until(stop_at, fun, seed + 1, 0)
    end
  end

  # Looks at the clock every 16 calls.
  defp call_until(stop_at, fun, seed, count) do
    fun.(seed + count)

    if rem(count, 16) == 15 and System.monotonic_time(:millisecond) >= stop_at do
      count + 1
    else
      call_until(stop_at, fun, seed, count + 1)
    end
  end

  # The resident set of an OS process, in bytes.
  def resident(os_pid) do
    [_, resident | _] = "/proc/#{os_pid}/statm" |> File.read!() |> String.split()
    String.to_integer(resident) * 4096
  end

  # `n` random pairs as a list of batches; the same on every run.
  def batches(n, size) do
    state = :rand.seed_s(:exsss, 42)

    {pairs, _state} =
      Enum.map_reduce(1..n, state, fn _, state ->
        {a, state} = :rand.uniform_s(div(n, 8), state)
        {b, state} = :rand.uniform_s(n, state)
        {{a, b}, state}
      end)

    Enum.chunk_every(pairs, size)
  end
end

defmodule Bench.Echo do
  # The floor: a GenServer that owns an echo port and does nothing clever. One
  # call is one port message each way; callers encode and decode their terms.

  use GenServer

  def start_link(executable), do: GenServer.start_link(__MODULE__, executable)
  def stop(server), do: GenServer.stop(server)

  def call(server, term) do
    server |> GenServer.call({:echo, :erlang.term_to_binary(term)}) |> :erlang.binary_to_term()
  end

  @impl true
  def init(executable) do
    port = Port.open({:spawn_executable, executable}, [:binary, :exit_status, packet: 4])
    {:ok, %{port: port, next_id: 0, pending: %{}}}
  end

  @impl true
  def handle_call({:echo, bytes}, from, %{next_id: id} = state) do
    Port.command(state.port, [<<id::64>>, bytes])
    {:noreply, %{state | next_id: id + 1, pending: Map.put(state.pending, id, from)}}
  end

  @impl true
  def handle_info({port, {:data, <<id::64, bytes::binary>>}}, %{port: port} = state) do
    {from, pending} = Map.pop!(state.pending, id)
    GenServer.reply(from, bytes)
    {:noreply, %{state | pending: pending}}
  end
end

defmodule Bench.GatheringEcho do
  # The same, but what has queued up behind a request goes into the same frame, up to
  # 256 of them: what any owner of a port gains by that, whatever the program does.

  use GenServer

  @requests 256

  def start_link(executable), do: GenServer.start_link(__MODULE__, executable)
  def stop(server), do: GenServer.stop(server)
  defdelegate call(server, term), to: Bench.Echo

  @impl true
  def init(executable) do
    port = Port.open({:spawn_executable, executable}, [:binary, :exit_status, packet: 4])
    {:ok, %{port: port, next_id: 0, pending: %{}}}
  end

  @impl true
  def handle_call({:echo, bytes}, from, state) do
    {frame, state} = [] |> add(from, bytes, state) |> drain(@requests - 1)
    Port.command(state.port, frame)
    {:noreply, state}
  end

  defp add(frame, from, bytes, %{next_id: id} = state) do
    state = %{state | next_id: id + 1, pending: Map.put(state.pending, id, from)}
    {[frame, <<id::64, byte_size(bytes)::32>> | bytes], state}
  end

  defp drain(gathered, 0), do: gathered

  defp drain({frame, state} = gathered, left) do
    receive do
      {:"$gen_call", from, {:echo, bytes}} -> frame |> add(from, bytes, state) |> drain(left - 1)
    after
      0 -> gathered
    end
  end

  @impl true
  def handle_info({port, {:data, frame}}, %{port: port} = state) do
    {:noreply, %{state | pending: answer(frame, state.pending)}}
  end

  defp answer(<<id::64, size::32, bytes::binary-size(size), rest::binary>>, pending) do
    {from, pending} = Map.pop!(pending, id)
    GenServer.reply(from, bytes)
    answer(rest, pending)
  end

  defp answer("", pending), do: pending
end

defmodule Bench.Nothing do
  # A GenServer that answers what it is asked: a call and nothing else.
  use GenServer

  def start_link, do: GenServer.start_link(__MODULE__, nil)

  @impl true
  def init(nil), do: {:ok, nil}

  @impl true
  def handle_call(term, _from, nil), do: {:reply, term, nil}
end

defmodule Bench.Bystander do
  # Round trips between two processes, one a millisecond, until `work` is done.
  def p99(work), do: work |> samples() |> Bench.percentile(0.99)

  # Their microseconds, sorted.
  def samples(work) do
    worker = Task.async(work)
    partner = spawn_link(&echo/0)
    sorted = worker |> sample(partner, []) |> Enum.sort()
    Process.unlink(partner)
    Process.exit(partner, :kill)
    sorted
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

defmodule Bench.Ets do
  # A many_to_many by hand: one ordered_set a direction.

  def new do
    {:ets.new(:fwd, [:ordered_set, :public]), :ets.new(:bwd, [:ordered_set, :public])}
  end

  def insert_all({fwd, bwd}, pairs) do
    :ets.insert(fwd, for({a, b} <- pairs, do: {{a, b}}))
    :ets.insert(bwd, for({a, b} <- pairs, do: {{b, a}}))
  end

  def bytes({fwd, bwd}) do
    (:ets.info(fwd, :memory) + :ets.info(bwd, :memory)) * :erlang.system_info(:wordsize)
  end

  def count({fwd, _bwd}), do: :ets.info(fwd, :size)

  # A page by position: what lies before it has to be walked, in chunks.
  def page({fwd, _bwd}, position, amount) do
    fwd |> :ets.select([{{:"$1"}, [], [:"$1"]}], 10_000) |> skip(position, amount)
  end

  defp skip({chunk, continuation}, position, amount) when position >= length(chunk) do
    continuation |> :ets.select() |> skip(position - length(chunk), amount)
  end

  defp skip({chunk, continuation}, position, amount) do
    page = chunk |> Enum.drop(position) |> Enum.take(amount)

    if length(page) < amount and continuation != :"$end_of_table" do
      page ++ (continuation |> :ets.select() |> skip(0, amount - length(page)))
    else
      page
    end
  end

  defp skip(:"$end_of_table", _position, _amount), do: []

  def delete({fwd, bwd}) do
    :ets.delete(fwd)
    :ets.delete(bwd)
  end
end
