defmodule Rhizome.PortOwner do
  @moduledoc false
  # The process that owns the port of one daemon, and all that a store is on
  # the side of the VM. It moves bytes and knows no commands.
  #
  #     callers                    owner                         daemon
  #     encode Op ---- call ---->  id, gather, write  == frame ==>  carry out
  #     decode    <--- reply ----  look the id up     <== frame ==  answer
  #
  # Gathering. A port message costs several microseconds whatever it holds, so
  # what ceiling there is comes from the number of frames. A request that finds
  # the owner idle is written at once; all that have queued up behind it in the
  # mailbox by then go into the same frame. Nothing ever waits for a timer.
  #
  # The write window. A process that writes to a port whose program does not
  # read is suspended, and then it answers nobody, not even its supervisor. So
  # the owner writes only while the bytes that it has written and that are not
  # answered yet fit into the pipe: then the port's own queue is empty and
  # writing cannot suspend, even if the daemon is stopped. An answer says that
  # its request was read, and opens the window. What does not fit waits here.
  #
  # Limits. Accepted and unanswered requests are bounded in number and bytes;
  # beyond that the answer is `:overloaded`, at once.
  #
  # Timeouts are the owner's business, not the callers': a timer in each caller
  # would cost a fifth of all that a call costs, most of it cancelling across
  # schedulers. The owner is never suspended, so it can keep them: one timer,
  # set to the earliest deadline. A request whose time is up before it was
  # written is never written; of one that was, the late answer is dropped.
  #
  # Ends. An exit status, a closed port and a failed write are one event: each
  # waiting caller gets `:daemon_down` and the owner stops with
  # `{:daemon_exit, reason}`, so that its supervisor starts a new one. An
  # orderly stop answers what is in flight, closes the port and has the reaper
  # see the daemon gone, all within the grace period.

  use GenServer

  alias Rhizome.{Error, Executable, OsProcess, Pending, Protocol, Reaper, Telemetry}

  # A pipe holds 64 KiB in 16 pages. A write that does not fit the rest of a
  # page takes a new one, so half is what it holds whatever the sizes are.
  @window_bytes 32 * 1024

  # What one frame gathers, and what one turn takes out of the mailbox.
  @frame_bytes 16 * 1024
  @frame_requests 512

  # What PROTOCOL.md gives as the default, for a hello that names none.
  @frame_bytes_max 64 * 1024 * 1024

  # How long a closed port may take to tell its program's exit status.
  @exit_status_timeout 500

  # How long a daemon that never said hello may take to exit.
  @failed_start_grace 500

  @allowed_environment ~w(PATH HOME LANG TZ TMPDIR LD_LIBRARY_PATH
                          ASAN_OPTIONS UBSAN_OPTIONS LSAN_OPTIONS)

  defstruct [
    :port,
    :os_process,
    :reaper,
    :store,
    :hello,
    :started,
    :max_in_flight,
    :max_in_flight_bytes,
    :frame_bytes_max,
    :grace,
    :timeout,
    # how many requests Rhizome.Pending has, and their bytes
    in_flight: 0,
    in_flight_bytes: 0,
    # those of them that are written
    written_bytes: 0,
    # those of them that are not: a queue of {id, request, bytes}
    front: [],
    back: [],
    next_id: 0,
    # when deadlines are looked at next: {monotonic ms, timer}
    sweep: {:infinity, nil}
  ]

  @spec start_link(map()) :: GenServer.on_start()
  def start_link(options) do
    GenServer.start_link(__MODULE__, options, Enum.to_list(Map.take(options, [:name])))
  end

  # Waits until the daemon has answered or the owner gives up: the answer as a
  # binary, or {:error, error}. Exits as GenServer.call/3 does if the owner is
  # gone. `timeout` may be nil for the store's own.
  @spec request(GenServer.server(), binary(), timeout() | nil) ::
          binary() | {:error, Error.t()}
  def request(server, encoded_op, timeout) do
    GenServer.call(server, {:request, encoded_op, timeout}, :infinity)
  end

  ## Start

  # Returns when the daemon has said hello: it does so within milliseconds,
  # and whoever comes after this child in the supervisor finds a store that
  # answers.
  @impl true
  def init(options) do
    Process.flag(:trap_exit, true)
    started = System.monotonic_time()

    with :ok <- check_application(),
         {:ok, executable} <- Executable.find(options[:executable]),
         {:ok, port} <- open_port(executable, options) do
      state = %__MODULE__{
        port: port,
        store: Map.get(options, :name, self()),
        started: started,
        max_in_flight: options.max_in_flight,
        max_in_flight_bytes: options.max_in_flight_bytes,
        grace: options.shutdown_timeout,
        timeout: options.timeout
      }

      state |> start_reaper() |> await_hello(Map.put(options, :executable, executable))
    else
      {:error, error} -> {:stop, error}
    end
  end

  defp check_application do
    if Process.whereis(Rhizome.ReaperSupervisor) do
      :ok
    else
      message = "the application :rhizome is not started; see Application.ensure_all_started/1"
      {:error, Error.new(:start_failed, message, %{reason: :not_started})}
    end
  end

  defp open_port(executable, options) do
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
      {"--frame-bytes-max", options[:frame_bytes_max]}
    ]

    ["port"] ++
      for({name, n} when is_integer(n) <- limits, argument <- [name, "#{n}"], do: argument)
  end

  # The daemon gets no more of the environment than it can have a use for.
  defp environment do
    for {name, _value} <- System.get_env(),
        name not in @allowed_environment,
        String.valid?(name),
        not String.starts_with?(name, "LC_") do
      {String.to_charlist(name), false}
    end
  end

  # A program that has exited already has no os_pid, and needs no reaper.
  defp start_reaper(state) do
    case Port.info(state.port, :os_pid) do
      {:os_pid, os_pid} ->
        os_process = OsProcess.new(os_pid)
        {:ok, reaper} = Reaper.start(self(), state.port, os_process, state.grace)
        %{state | os_process: os_process, reaper: reaper}

      nil ->
        state
    end
  end

  defp await_hello(%{port: port} = state, options) do
    parent = parent()

    receive do
      {^port, {:data, frame}} ->
        accept_hello(state, frame)

      {^port, {:exit_status, status}} ->
        reason = exit_reason(status)
        message = "the daemon exited with #{inspect(reason)} before it said hello"
        {:stop, Error.new(:start_failed, message, %{reason: reason})}

      {:EXIT, ^parent, reason} ->
        give_up(state)
        {:stop, reason}
    after
      options.start_timeout ->
        message =
          "the daemon said no hello within #{options.start_timeout} ms; " <>
            "is #{options.executable} a Rhizome daemon?"

        give_up(state)
        {:stop, Error.new(:start_failed, message, %{reason: :timeout})}
    end
  end

  defp accept_hello(state, frame) do
    protocol = Protocol.version()

    case Protocol.decode_frame(frame) do
      {:ok, [{:hello, %{protocol: ^protocol} = hello} | _events]} ->
        Telemetry.execute(
          [:rhizome, :daemon, :up],
          %{
            system_time: System.system_time(),
            duration: System.monotonic_time() - state.started
          },
          %{store: state.store, os_pid: os_pid(state), version: hello[:version]}
        )

        {:ok,
         %{state | hello: hello, frame_bytes_max: hello[:frame_bytes_max] || @frame_bytes_max}}

      {:ok, [{:hello, %{protocol: other}} | _events]} ->
        give_up(state)

        message =
          "the daemon speaks protocol #{inspect(other)} and this library #{protocol}; " <>
            "install the same version of both"

        {:stop, Error.new(:start_failed, message, %{reason: :protocol})}

      _no_hello ->
        give_up(state)
        message = "what the daemon said first is no hello"
        {:stop, Error.new(:start_failed, message, %{reason: :no_hello})}
    end
  end

  defp parent do
    case Process.get(:"$ancestors") do
      [parent | _rest] when is_pid(parent) -> parent
      [parent | _rest] when is_atom(parent) -> Process.whereis(parent)
      _none -> nil
    end
  end

  defp give_up(state) do
    close(state.port)
    reap(state, min(state.grace, @failed_start_grace))
  end

  ## Requests

  @impl true
  def handle_call({:request, encoded_op, timeout}, from, state) do
    now = System.monotonic_time(:millisecond)
    state = state |> admit(encoded_op, timeout, from, now) |> drain(now, @frame_requests)
    {:noreply, write(state)}
  end

  # A store lives on whatever strangers say to it.
  def handle_call(_unknown, _from, state) do
    {:reply, {:error, Error.new(:bad_request, "a store takes no such call", not_sent())}, state}
  end

  @impl true
  def handle_cast(_unknown, state), do: {:noreply, state}

  # Takes the requests that wait in the mailbox. Going through GenServer's
  # loop for each of them would cost more than handling it.
  defp drain(state, _now, 0), do: state

  defp drain(state, now, left) do
    receive do
      {:"$gen_call", from, {:request, encoded_op, timeout}} ->
        state |> admit(encoded_op, timeout, from, now) |> drain(now, left - 1)
    after
      0 -> state
    end
  end

  defp admit(state, encoded_op, timeout, from, now) do
    bytes = byte_size(encoded_op) + Protocol.overhead()

    case refusal(state, bytes) do
      nil ->
        id = state.next_id
        deadline = deadline(timeout || state.timeout, now)
        Pending.put(id, {from, bytes, deadline})

        %{
          state
          | next_id: Protocol.next_id(id),
            in_flight: state.in_flight + 1,
            in_flight_bytes: state.in_flight_bytes + bytes,
            back: [{id, Protocol.request(id, encoded_op), bytes} | state.back],
            sweep: sweep_by(state.sweep, deadline)
        }

      error ->
        GenServer.reply(from, {:error, error})
        state
    end
  end

  defp deadline(:infinity, _now), do: :infinity
  defp deadline(timeout, now), do: now + timeout

  ## Deadlines

  # :infinity is greater than any number. Deadlines mostly come in their order,
  # so the timer is mostly set already.
  defp sweep_by({at, _timer} = sweep, deadline) when at <= deadline, do: sweep

  defp sweep_by({_at, timer}, deadline) do
    if timer, do: Process.cancel_timer(timer, async: true, info: false)
    {deadline, Process.send_after(self(), :sweep, deadline, abs: true)}
  end

  # Tells every caller whose time is up, and sets the timer for the next one.
  defp sweep(state) do
    now = System.monotonic_time(:millisecond)
    waiting = for {id, {from, _, deadline}} <- Pending.all(), from, do: {id, deadline}
    late = for {id, deadline} <- waiting, deadline <= now, do: id

    next =
      Enum.min(for({_id, deadline} <- waiting, deadline > now, do: deadline), fn -> :infinity end)

    state = drop_unsent(state, late)
    Enum.each(late, &give_up_on/1)
    %{state | sweep: sweep_by({:infinity, nil}, next)}
  end

  # Takes requests out of the queue and answers them: they never were sent.
  defp drop_unsent(%{front: [], back: []} = state, _late), do: state
  defp drop_unsent(state, []), do: state

  defp drop_unsent(state, late) do
    late = MapSet.new(late)
    {drop, keep} = Enum.split_with(queue(state), fn {id, _, _} -> id in late end)

    for {id, _request, _bytes} <- drop do
      {from, _bytes, _deadline} = Pending.take(id)
      message = "the time was up before the request was sent"
      GenServer.reply(from, {:error, Error.new(:timeout, message, not_sent())})
    end

    bytes = for {_id, _request, bytes} <- drop, reduce: 0, do: (sum -> sum + bytes)
    %{leave(state, length(drop), bytes) | front: keep, back: []}
  end

  # The answer may still come, and opens the window again when it does.
  defp give_up_on(id) do
    with {from, bytes, _deadline} <- Pending.take(id) do
      GenServer.reply(from, {:error, Error.new(:timeout, nil, %{outcome: :unknown})})
      Pending.put(id, {nil, bytes, :infinity})
    end
  end

  defp leave(state, count, bytes) do
    %{
      state
      | in_flight: state.in_flight - count,
        in_flight_bytes: state.in_flight_bytes - bytes
    }
  end

  defp queue(state), do: state.front ++ Enum.reverse(state.back)

  ## Limits

  defp refusal(state, bytes) do
    cond do
      state.in_flight >= state.max_in_flight ->
        overloaded(:max_in_flight, state.max_in_flight)

      state.in_flight_bytes + bytes > state.max_in_flight_bytes and state.in_flight_bytes > 0 ->
        overloaded(:max_in_flight_bytes, state.max_in_flight_bytes)

      bytes > state.frame_bytes_max ->
        message = "the request has #{bytes} bytes; split it, or raise :frame_bytes_max"
        Error.new(:too_big, message, %{limit: state.frame_bytes_max})

      true ->
        nil
    end
  end

  defp overloaded(limit, value) do
    Error.new(:overloaded, nil, %{limit: limit, value: value, outcome: :not_sent})
  end

  ## Writing

  defp write(%{front: [], back: []} = state), do: state
  defp write(%{written_bytes: bytes} = state) when bytes >= @window_bytes, do: state

  defp write(%{front: []} = state) do
    write(%{state | front: Enum.reverse(state.back), back: []})
  end

  defp write(state) do
    {requests, count, bytes, rest} = gather(state.front, [], 0, 0)
    command(state.port, Protocol.frame(requests, count))
    write(%{state | front: rest, written_bytes: state.written_bytes + bytes})
  end

  # The requests of one frame, in order; the first one whatever its size.
  defp gather([{_id, request, bytes} | rest], acc, n, size)
       when n == 0 or (n < @frame_requests and size + bytes <= @frame_bytes) do
    gather(rest, [acc | request], n + 1, size + bytes)
  end

  defp gather(rest, acc, n, size), do: {acc, n, size, rest}

  defp not_sent, do: %{outcome: :not_sent}

  # A port that is gone is noticed here or by its messages, whichever is first;
  # they say why, so they are waited for.
  defp command(port, iodata) do
    Port.command(port, iodata)
  rescue
    ArgumentError -> await_exit_status(port)
  end

  defp await_exit_status(port) do
    Process.send_after(self(), {port, {:exit_status, :unknown}}, @exit_status_timeout)
  end

  ## Answers

  @impl true
  def handle_info({port, {:data, frame}}, %{port: port} = state) do
    case Protocol.decode_frame(frame) do
      {:ok, replies} ->
        {count, bytes} = answer(replies, 0, 0)
        state = leave(state, count, bytes)
        {:noreply, write(%{state | written_bytes: state.written_bytes - bytes})}

      :error ->
        close(port)
        down(state, :bad_frame)
    end
  end

  def handle_info(:sweep, state), do: {:noreply, sweep(state)}

  def handle_info({port, {:exit_status, status}}, %{port: port} = state) do
    down(state, exit_reason(status))
  end

  def handle_info({:EXIT, port, _reason}, %{port: port} = state) do
    await_exit_status(port)
    {:noreply, state}
  end

  def handle_info({:EXIT, _linked, :normal}, state), do: {:noreply, state}
  def handle_info({:EXIT, _linked, reason}, state), do: {:stop, reason, state}
  def handle_info(_message, state), do: {:noreply, state}

  # Events other than hello are for clients that know them.
  defp answer([{id, answer} | rest], count, bytes) when is_integer(id) do
    case Pending.take(id) do
      {from, size, _deadline} ->
        if from, do: GenServer.reply(from, answer)
        answer(rest, count + 1, bytes + size)

      nil ->
        answer(rest, count, bytes)
    end
  end

  defp answer([_event | rest], count, bytes), do: answer(rest, count, bytes)
  defp answer([], count, bytes), do: {count, bytes}

  ## Ends

  defp down(state, reason) do
    Telemetry.execute(
      [:rhizome, :daemon, :down],
      %{system_time: System.system_time(), in_flight: state.in_flight},
      %{store: state.store, os_pid: os_pid(state), reason: reason}
    )

    message = "the daemon died (#{inspect(reason)}) before it answered"
    {:stop, {:daemon_exit, reason}, fail_pending(state, :daemon_down, message)}
  end

  defp fail_pending(state, code, message) do
    unsent = for {id, _request, _bytes} <- queue(state), into: MapSet.new(), do: id

    for {id, {from, _bytes, _deadline}} <- Pending.all(), Pending.take(id), from do
      outcome = if id in unsent, do: :not_sent, else: :unknown
      GenServer.reply(from, {:error, Error.new(code, message, %{outcome: outcome})})
    end

    %{state | in_flight: 0, in_flight_bytes: 0, written_bytes: 0, front: [], back: []}
  end

  # Section 5 of PROTOCOL.md.
  defp exit_reason(0), do: :normal
  defp exit_reason(64), do: :usage
  defp exit_reason(65), do: :protocol
  defp exit_reason(70), do: :internal
  defp exit_reason(71), do: :no_memory
  defp exit_reason(74), do: :io
  defp exit_reason(:unknown), do: :port_closed
  defp exit_reason(status) when status > 128, do: {:signal, status - 128}
  defp exit_reason(status), do: {:status, status}

  @impl true
  def terminate({:daemon_exit, _reason}, state), do: reap(state, 0)

  def terminate(reason, state) do
    deadline = System.monotonic_time(:millisecond) + state.grace
    state = finish_in_flight(state, deadline)
    state = fail_pending(state, :stopped, "the store was stopped before the daemon answered")

    Telemetry.execute(
      [:rhizome, :daemon, :down],
      %{system_time: System.system_time(), in_flight: 0},
      %{store: state.store, os_pid: os_pid(state), reason: reason}
    )

    close(state.port)
    reap(state, time_left(deadline))
  end

  # Answers what was accepted, accepts no more, until the deadline or until
  # nobody waits any longer.
  defp finish_in_flight(%{port: port} = state, deadline) do
    receive do
      {^port, {:data, _frame}} = message ->
        case handle_info(message, state) do
          {:noreply, state} -> finish_in_flight(state, deadline)
          {:stop, _reason, state} -> state
        end

      {^port, {:exit_status, status}} ->
        fail_pending(state, :daemon_down, "the daemon died (#{inspect(exit_reason(status))})")

      {:"$gen_call", from, {:request, _encoded_op, _timeout}} ->
        GenServer.reply(from, {:error, Error.new(:stopped, nil, not_sent())})
        finish_in_flight(state, deadline)

      :sweep ->
        finish_in_flight(sweep(state), deadline)
    after
      if(somebody_waits?(), do: time_left(deadline), else: 0) -> state
    end
  end

  defp somebody_waits? do
    Enum.any?(Pending.all(), fn {_id, {from, _bytes, _deadline}} -> from != nil end)
  end

  defp time_left(deadline), do: max(deadline - System.monotonic_time(:millisecond), 0)

  defp close(port) do
    Port.close(port)
  rescue
    ArgumentError -> true
  end

  defp reap(%{reaper: nil}, _grace), do: :ok
  defp reap(%{reaper: reaper}, grace), do: Reaper.reap(reaper, grace)

  defp os_pid(%{os_process: nil}), do: nil
  defp os_pid(%{os_process: os_process}), do: os_process.pid

  ## Reports

  # Crash reports show how much was in flight and never what. OTP calls this
  # since release 25, Elixir lists it as a callback since 1.17.
  if {:format_status, 1} in GenServer.behaviour_info(:callbacks) do
    @impl true
  end

  def format_status(status) do
    status
    |> Map.replace_lazy(:state, &summary/1)
    |> Map.replace_lazy(:message, &redact/1)
    |> Map.replace_lazy(:log, fn _log -> [] end)
  end

  defp summary(%__MODULE__{} = state) do
    %{
      store: state.store,
      port: state.port,
      os_pid: os_pid(state),
      in_flight: state.in_flight,
      in_flight_bytes: state.in_flight_bytes,
      hello: state.hello
    }
  end

  defp summary(other), do: other

  defp redact({:"$gen_call", from, {:request, op, _}}), do: {:request, byte_size(op), from}
  defp redact({port, {:data, frame}}), do: {port, {:data, byte_size(frame)}}
  defp redact(message), do: message
end
