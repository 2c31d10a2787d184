defmodule Rhizome.Startup do
  @moduledoc false
  # From an executable to a daemon that has said hello, or to the reason why
  # there is none. Runs in the store's owner, before that answers anybody.
  #
  #     open_port ---> await_hello --- {recovering, ..} ---> again, the time anew
  #                        |
  #                        +--- {hello, ..} ------------> {:ok, hello, events}
  #                        +--- {failed, log_refused} --> {:refused, error}
  #                        +--- {failed, ..}, an exit,
  #                             silence, nonsense ------> {:error, error}
  #
  # What a recovery found is told here, too: a line in the log and an event for
  # telemetry.
  #
  # The store's name is registered before init/1 is called, so requests come in
  # while there is nobody to carry them out. They are answered at once: left in
  # the mailbox, they would wait beyond their time and then be carried out after
  # all.

  require Logger

  alias Rhizome.{Directories, Error, Protocol, Telemetry}

  # How often a recovery is worth a line in the log, in milliseconds.
  @log_every 3_000

  # How long a daemon that has said why it failed may take to exit.
  @exit_timeout 500

  @allowed_environment ~w(PATH HOME LANG TZ TMPDIR LD_LIBRARY_PATH
                          ASAN_OPTIONS UBSAN_OPTIONS LSAN_OPTIONS)

  @type outcome ::
          {:ok, hello :: map(), events :: list()}
          | {:refused, Error.t()}
          | {:error, Error.t()}
          | {:exit, term()}

  ## The program

  @spec open_port(Path.t(), map()) :: {:ok, port()} | {:error, Error.t()}
  def open_port(executable, options) do
    port =
      Port.open({:spawn_executable, executable}, [
        :binary,
        :exit_status,
        :use_stdio,
        :hide,
        packet: 4,
        args: arguments(options),
        env: environment()
      ])

    {:ok, port}
  rescue
    error in [ErlangError, ArgumentError] ->
      reason = Map.get(error, :original, error)
      message = "cannot run #{executable}: #{inspect(reason)}"
      {:error, Error.new(:start_failed, message, %{executable: executable})}
  end

  defp arguments(options) do
    limits = [
      {"--memory-limit", options.memory_limit},
      {"--frame-bytes-max", options[:frame_bytes_max]},
      {"--snapshots-max", options[:max_snapshots]},
      {"--threads", options[:threads]},
      {"--projection-cache", options[:projection_cache]},
      {"--busy-wait", options[:busy_wait_us]},
      {"--snapshot-age-max", age(options[:max_snapshot_age])}
    ]

    ["port"] ++
      for({name, n} when is_integer(n) <- limits, argument <- [name, "#{n}"], do: argument) ++
      directory_arguments(options)
  end

  defp age(:infinity), do: 0
  defp age(milliseconds), do: milliseconds

  defp directory_arguments(%{dir: nil}), do: []

  defp directory_arguments(%{dir: dir} = options) do
    checkpoint = options.checkpoint

    for {name, value} <- [
          {"--dir", dir},
          {"--sync", sync(options.sync)},
          {"--expect", expect(Directories.expected(dir))},
          {"--checkpoint-ratio", ratio(checkpoint[:ratio])},
          {"--checkpoint-min", checkpoint[:min_bytes]},
          {"--segment-bytes", options[:segment_bytes]},
          {"--lock-wait", lock_wait(options)}
        ],
        value != nil,
        argument <- [name, "#{value}"] do
      argument
    end ++ if(checkpoint[:at_stop], do: ["--checkpoint-at-stop"], else: [])
  end

  defp sync({:interval, ms}), do: "interval:#{ms}"
  defp sync(policy), do: policy

  defp expect(nil), do: nil
  defp expect({store_id, seq}), do: "#{Base.encode16(store_id, case: :lower)}:#{seq}"

  # Erlang writes floats as 2.0e-5, too.
  defp ratio(nil), do: nil
  defp ratio(:never), do: 0
  defp ratio(ratio) when is_integer(ratio), do: ratio
  defp ratio(ratio), do: :erlang.float_to_binary(ratio, [:compact, decimals: 9])

  # A predecessor that does not end by itself is killed after its grace period.
  defp lock_wait(options), do: options.shutdown_timeout + 1_000

  # The daemon gets no more of the environment than it can have a use for.
  defp environment do
    for {name, _value} <- System.get_env(),
        name not in @allowed_environment,
        String.valid?(name),
        not String.starts_with?(name, "LC_") do
      {String.to_charlist(name), false}
    end
  end

  ## Its first words

  # `parent` is the process whose end is ours; `store` how the store is called.
  @spec await_hello(port(), map(), pid() | nil, term()) :: outcome()
  def await_hello(port, options, parent, store) do
    patience = options.start_timeout + if(options.dir, do: lock_wait(options), else: 0)

    context = %{
      port: port,
      options: options,
      parent: parent,
      store: store,
      started: now(),
      logged: now(),
      recovering: false
    }

    context |> start_timer(patience) |> listen()
  end

  defp start_timer(context, patience) do
    timer = :erlang.start_timer(patience, self(), :silent)
    Map.merge(context, %{timer: timer, patience: patience})
  end

  # A timer and no `after`, which each of many calls would set back.
  defp listen(%{port: port, parent: parent, timer: timer} = context) do
    receive do
      {^port, {:data, frame}} ->
        :erlang.cancel_timer(timer)

        case Protocol.decode_frame(frame) do
          {:ok, [_event | _more] = events} -> hear(events, context)
          _nonsense -> no_hello()
        end

      {^port, {:exit_status, status}} ->
        exited(Protocol.exit_reason(status), context)

      {:EXIT, ^parent, reason} ->
        {:exit, reason}

      {:timeout, ^timer, :silent} ->
        silent(context)

      {:"$gen_call", from, call} ->
        turn_away(from, call)
        listen(context)
    end
  end

  defp hear([{:recovering, progress} | rest], context) do
    hear(rest, progress(progress, %{context | recovering: true}))
  end

  defp hear([{:failed, {code, message, details}} | _rest], context) do
    await_exit(context.port)
    failed(code, message, details, context)
  end

  defp hear([{:hello, %{protocol: protocol} = hello} | rest], context) do
    if protocol == Protocol.version() do
      recovered(hello, context)
      {:ok, hello, rest}
    else
      message =
        "the daemon speaks protocol #{inspect(protocol)} and this library " <>
          "#{Protocol.version()}; install the same version of both"

      {:error, Error.new(:start_failed, message, %{reason: :protocol})}
    end
  end

  # A newer daemon may have more to tell.
  defp hear([{name, _term} | rest], context) when is_atom(name) and name != :hello do
    hear(rest, context)
  end

  defp hear([], context), do: context |> start_timer(context.options.start_timeout) |> listen()
  defp hear(_nonsense, _context), do: no_hello()

  defp no_hello do
    message = "what the daemon said first is no hello"
    {:error, Error.new(:start_failed, message, %{reason: :no_hello})}
  end

  defp silent(%{options: options, patience: patience} = context) do
    message =
      if context.recovering,
        do:
          "the daemon recovers #{options.dir} and has not said how far it is for #{patience} ms",
        else: "the daemon said no hello within #{patience} ms; #{daemon?(options)}"

    {:error, Error.new(:start_failed, message, %{reason: :timeout})}
  end

  # With a code of its own a daemon that could say nothing still says enough.
  defp exited(:log_refused, context), do: failed(:log_refused, nil, %{}, context)
  defp exited(:locked, context), do: failed(:locked, nil, %{}, context)

  defp exited(:normal, %{recovering: false, options: options}) do
    message = "the daemon exited with status 0 before it said hello; #{daemon?(options)}"
    {:error, Error.new(:start_failed, message, %{reason: :normal})}
  end

  defp exited(reason, _context) do
    message = "the daemon exited with #{inspect(reason)} before it said hello"
    {:error, Error.new(:start_failed, message, %{reason: reason})}
  end

  defp daemon?(options), do: "is #{options.executable} a Rhizome daemon?"

  defp await_exit(port) do
    receive do
      {^port, {:exit_status, _status}} -> :ok
    after
      @exit_timeout -> :ok
    end
  end

  defp failed(:log_refused, message, details, %{options: options}) do
    why = message || "the daemon did not say why; see rhizome check --help"
    message = "the log in #{options.dir} is refused: #{why}"
    details = Map.merge(details, %{dir: options.dir, outcome: :not_sent})
    {:refused, Error.new(:log_refused, message, details)}
  end

  defp failed(:locked, _message, details, %{options: options}) do
    holder = if details[:os_pid], do: "process #{details.os_pid}", else: "another process"

    message =
      "the directory #{options.dir} is held by #{holder}; one daemon at a time can have it: " <>
        "stop that one, or give another directory"

    details = Map.merge(details, %{dir: options.dir, reason: :locked})
    {:error, Error.new(:start_failed, message, details)}
  end

  defp failed(code, message, details, %{options: options}) do
    details = Map.merge(details, %{dir: options.dir, reason: code})
    {:error, Error.new(:start_failed, "#{options.dir}: #{message}", details)}
  end

  ## Calls that come too early

  # Waits, and ends before its time only with `parent`.
  @spec wait(non_neg_integer(), pid() | nil) :: :ok | {:exit, term()}
  def wait(milliseconds, parent) do
    await_timer(:erlang.start_timer(milliseconds, self(), :waited), parent)
  end

  defp await_timer(timer, parent) do
    receive do
      {:timeout, ^timer, :waited} ->
        :ok

      {:EXIT, ^parent, reason} ->
        {:exit, reason}

      {:"$gen_call", from, call} ->
        turn_away(from, call)
        await_timer(timer, parent)
    end
  end

  # All who have called until now, of a store that does not start.
  @spec turn_away_all() :: :ok
  def turn_away_all do
    receive do
      {:"$gen_call", from, call} ->
        turn_away(from, call)
        turn_away_all()
    after
      0 -> :ok
    end
  end

  defp turn_away(from, call), do: GenServer.reply(from, {:error, too_early(call)})

  defp too_early({:request, _encoded_op, _timeout}), do: starting()
  defp too_early({:request, _encoded_op, _timeout, _kind}), do: starting()
  defp too_early(call) when call in [:holder, :recovered], do: starting()
  defp too_early(_unknown), do: Error.bad_call()

  defp starting do
    Error.new(:stopped, "the store is starting; try again", %{outcome: :not_sent})
  end

  ## Recovery

  defp progress(%{done: done, total: total}, %{store: store, options: options} = context) do
    Telemetry.execute(
      [:rhizome, :recovery, :progress],
      %{bytes: done, total_bytes: total},
      %{store: store, dir: options.dir}
    )

    if now() - context.logged >= @log_every do
      Logger.info(
        "Rhizome #{inspect(store)} recovers #{options.dir}: " <>
          "#{mib(done)} of #{mib(total)} MiB#{percent(done, total)}"
      )

      %{context | logged: now()}
    else
      context
    end
  end

  defp progress(_unknown, context), do: context

  defp percent(_done, 0), do: ""
  defp percent(done, total), do: ", #{div(100 * done, total)} %"

  defp mib(bytes), do: Float.round(bytes / (1024 * 1024), 1)

  defp recovered(%{recovered: %{} = recovered} = hello, context) do
    %{store: store, options: options} = context
    torn = if is_map(recovered[:torn]), do: recovered.torn

    Telemetry.execute(
      [:rhizome, :recovery, :stop],
      %{
        duration: System.convert_time_unit(recovered[:ms] || 0, :millisecond, :native),
        records: recovered[:records] || 0,
        bytes: recovered[:bytes] || 0,
        torn_bytes: if(torn, do: torn.bytes, else: 0)
      },
      %{
        store: store,
        dir: options.dir,
        seq: hello[:seq],
        checkpoint: recovered[:checkpoint],
        fresh: recovered[:fresh],
        clean: recovered[:clean],
        torn: torn
      }
    )

    if torn do
      Logger.warning(
        "Rhizome #{inspect(store)} in #{options.dir}: a crash had torn the end of the log. " <>
          "#{torn.bytes} bytes behind mutation #{torn.seq} (#{torn.file}, offset " <>
          "#{torn.offset}) were cut and saved as #{torn.saved}"
      )
    end

    if Directories.known?(options.dir) do
      Logger.info(
        "Rhizome #{inspect(store)} is back after #{now() - context.started} ms: at mutation " <>
          "#{hello[:seq]}, with #{recovered[:records] || 0} records read from " <>
          "#{origin(recovered[:checkpoint])}"
      )
    end
  end

  defp recovered(_in_memory, _context), do: :ok

  defp origin(seq) when is_integer(seq) and seq > 0, do: "the checkpoint of #{seq} on"
  defp origin(_none), do: "the beginning of the log"

  defp now, do: System.monotonic_time(:millisecond)
end
