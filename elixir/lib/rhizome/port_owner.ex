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
  # Writing. A process that writes to a port whose program does not read is
  # suspended, and then it answers nobody, not even its supervisor. So the owner
  # writes only what fits into the pipe, as Rhizome.Window says; the rest waits here.
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
  # Reads that may take long come with their limits, and the owner writes the
  # time that they have beside them, for it is the one who keeps it. The daemon
  # then says by itself that the time is up, and has some grace to do so. Whoever
  # gives up or dies leaves no work behind: the read is cancelled. Most of these
  # reads are short after all, so a caller is watched only when the answer has not
  # come for a while: monitors for all halved the rate.
  #
  # Holders. What a process holds in the daemon (snapshots, forks, subscriptions)
  # it names {Holder, Number}: the owner gives each process that asks a Holder,
  # the process numbers its things itself. When it dies, all that it holds is
  # released. Events of a subscription go to the process of its holder.
  #
  # Disk. Of a store on the disk the daemon says which mutations it has
  # acknowledged, and Rhizome.Directories remembers that beyond the owner. A log
  # that the daemon refuses leaves an owner without a port, which answers every
  # request with the reason: a restart would not help.
  #
  # Ends. An exit status, a closed port and a failed write are one event: each
  # waiting caller gets `:daemon_down` and the owner stops with
  # `{:daemon_exit, reason}`, so that its supervisor starts a new one. An
  # orderly stop answers what is in flight, closes the port and has the reaper
  # see the daemon gone, all within the grace period.

  use GenServer

  require Logger

  alias Rhizome.{
    Directories,
    Error,
    Events,
    Executable,
    OsProcess,
    Pending,
    Protocol,
    Reaper,
    Startup,
    Telemetry,
    Window
  }

  # What one frame gathers, and what one turn takes out of the mailbox.
  @frame_bytes 16 * 1024
  @frame_requests 512

  # A turn with so many requests is one of a busy store, whose owner gets a heap that
  # holds some turns of what they leave behind: in one that grows as it must, a tenth of
  # what a call costs the VM was collecting. In words; idle stores keep their small one.
  @busy_requests 64
  @busy_heap 50_000

  # What PROTOCOL.md gives as the default, for a hello that names none.
  @frame_bytes_max 64 * 1024 * 1024

  # How long a closed port may take to tell its program's exit status.
  @exit_status_timeout 500

  # How long a daemon that never said hello may take to exit.
  @failed_start_grace 500

  # How much longer than the daemon the owner waits for the end of a long read.
  @deadline_grace 500

  # How old a long read may become, in milliseconds, until its caller is watched.
  @watch_after 20

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
    :dir,
    # of a store on the disk: where Rhizome.Directories keeps what is acknowledged
    :entry,
    # why there is no port: the error that answers every request
    :refused,
    # how many requests Rhizome.Pending has, and their bytes
    in_flight: 0,
    in_flight_bytes: 0,
    # what of them is in the pipe
    window: Window.new(),
    # those of them that are not written: a queue of {id, request, bytes, long bytes}
    front: [],
    back: [],
    next_id: 0,
    # whether its heap has been made as large as many callers at once need it
    busy: false,
    # when deadlines are looked at next: {monotonic ms, timer}
    sweep: {:infinity, nil},
    # whether callers of long reads are about to be watched
    watch: false,
    # who holds things in the daemon, by process and by number
    holders: %{},
    holder_pids: %{},
    next_holder: 1
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

  # Kinds of requests that need more: a read that may take long, with its limits,
  # and one that makes the caller hold something in the daemon. The latter fails with
  # the reason :unknown_holder if the owner has seen its caller go meanwhile.
  @type kind :: {:long, Protocol.limits()} | {:holder, pos_integer()}
  @spec request(GenServer.server(), binary(), timeout() | nil, kind() | nil) ::
          binary() | {:error, Error.t()}
  def request(server, encoded_op, timeout, nil), do: request(server, encoded_op, timeout)

  def request(server, encoded_op, timeout, kind) do
    GenServer.call(server, {:request, encoded_op, timeout, kind}, :infinity)
  end

  # request/3 in two halves, for a caller that has more to send.
  @spec send_request(GenServer.server(), binary(), timeout() | nil, kind() | nil) :: term()
  def send_request(server, encoded_op, timeout, nil) do
    :gen_server.send_request(server, {:request, encoded_op, timeout})
  end

  def send_request(server, encoded_op, timeout, kind) do
    :gen_server.send_request(server, {:request, encoded_op, timeout, kind})
  end

  @spec await_answer(term()) :: binary() | {:error, Error.t()}
  def await_answer(request_id) do
    case :gen_server.wait_response(request_id, :infinity) do
      {:reply, answer} -> answer
      {:error, {reason, server}} -> exit({reason, {GenServer, :call, [server]}})
    end
  end

  # The same for so many milliseconds; :timeout if there is none by then.
  @spec await_answer(term(), non_neg_integer()) :: binary() | {:error, Error.t()} | :timeout
  def await_answer(request_id, timeout) do
    case :gen_server.wait_response(request_id, timeout) do
      {:reply, answer} -> answer
      :timeout -> :timeout
      {:error, {reason, server}} -> exit({reason, {GenServer, :call, [server]}})
    end
  end

  # A request whose answer nobody waits for. It is carried out in its turn, and
  # no limit refuses it.
  @spec tell(GenServer.server(), binary()) :: :ok
  def tell(server, encoded_op), do: GenServer.cast(server, {:request, encoded_op})

  # The owner itself and the number under which the caller holds things there.
  @spec holder(GenServer.server()) :: {:ok, {pid(), pos_integer()}} | {:error, Error.t()}
  def holder(server), do: GenServer.call(server, :holder, :infinity)

  # How the daemon recovered, as it said in its hello.
  @spec recovered(GenServer.server()) :: {:ok, map() | :none} | {:error, Error.t()}
  def recovered(server), do: GenServer.call(server, :recovered, :infinity)

  ## Start

  # Returns when the daemon has said hello: it does so within milliseconds if
  # it has nothing to recover, and whoever comes after this child in the
  # supervisor finds a store that answers.
  @impl true
  def init(options) do
    Process.flag(:trap_exit, true)

    case start(options, parent()) do
      {:ok, state} ->
        {:ok, state}

      {:error, error} ->
        start_failed(error, options)
        Startup.turn_away_all()
        {:stop, error}

      {:exit, reason} ->
        Startup.turn_away_all()
        {:stop, reason}
    end
  end

  defp start(options, parent) do
    with :ok <- check_application(),
         {:ok, executable} <- Executable.find(options[:executable]),
         :ok <- back_off(options.dir, parent),
         started = System.monotonic_time(),
         {:ok, port} <- Startup.open_port(executable, options) do
      state =
        start_reaper(%__MODULE__{
          port: port,
          store: store(options),
          started: started,
          dir: options.dir,
          max_in_flight: options.max_in_flight,
          max_in_flight_bytes: options.max_in_flight_bytes,
          grace: options.shutdown_timeout,
          timeout: options.timeout
        })

      options = Map.put(options, :executable, executable)
      port |> Startup.await_hello(options, parent, state.store) |> started(state)
    end
  end

  defp store(options), do: Map.get(options, :name, self())

  defp check_application do
    if Process.whereis(Rhizome.ReaperSupervisor) do
      :ok
    else
      message = "the application :rhizome is not started; see Application.ensure_all_started/1"
      {:error, Error.new(:start_failed, message, %{reason: :not_started})}
    end
  end

  defp back_off(nil, _parent), do: :ok

  defp back_off(dir, parent) do
    case Directories.back_off(dir) do
      0 -> :ok
      wait -> Startup.wait(wait, parent)
    end
  end

  # A supervisor says that a child has failed, but not in words.
  defp start_failed(error, options) do
    store = store(options)
    wait = note_failure(options.dir, error.details[:reason])

    Telemetry.execute(
      [:rhizome, :daemon, :start_failed],
      %{
        system_time: System.system_time(),
        wait: System.convert_time_unit(wait, :millisecond, :native)
      },
      %{store: store, dir: options.dir, error: error}
    )

    Logger.error(
      "Rhizome #{inspect(store)}#{in_dir(options.dir)} did not start: " <>
        "#{error.message}#{next_start(wait)}"
    )
  end

  # How long the next start will wait. There are failures that no patience mends.
  defp note_failure(nil, _reason), do: 0

  defp note_failure(_dir, reason) when reason in [:not_started, :usage, :protocol, :no_hello],
    do: 0

  defp note_failure(dir, _reason) do
    Directories.failed(dir)
    Directories.back_off(dir)
  end

  defp in_dir(nil), do: ""
  defp in_dir(dir), do: " in #{dir}"

  defp next_start(0), do: ""
  defp next_start(wait), do: ". The next start is in #{wait} ms"

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

  defp started({:ok, hello, events}, state) do
    Telemetry.execute(
      [:rhizome, :daemon, :up],
      %{system_time: System.system_time(), duration: System.monotonic_time() - state.started},
      %{store: state.store, os_pid: os_pid(state), version: hello[:version]}
    )

    state = %{
      state
      | hello: hello,
        entry: remember(state.dir, hello),
        frame_bytes_max: hello[:frame_bytes_max] || @frame_bytes_max
    }

    {:ok, answer(events, 0, 0, state)}
  end

  # A refused log stays refused however often one asks. Starting again would
  # only use up the patience of the supervisor and end the siblings.
  defp started({:refused, error}, state) do
    give_up(state)

    Telemetry.execute(
      [:rhizome, :daemon, :refused],
      %{system_time: System.system_time()},
      %{store: state.store, dir: state.dir, error: error}
    )

    Logger.error(
      "Rhizome #{inspect(state.store)} is not available: #{error.message}. Nothing was " <>
        "changed. Every request is answered with this error until the store is started again"
    )

    {:ok, %{state | port: nil, reaper: nil, os_process: nil, refused: error}}
  end

  defp started({:error, error}, state) do
    give_up(state)
    {:error, error}
  end

  defp started({:exit, reason}, state) do
    give_up(state)
    {:exit, reason}
  end

  defp remember(dir, %{store_id: store_id, seq: seq})
       when is_binary(dir) and is_binary(store_id) do
    Directories.up(dir, store_id, seq)
  end

  defp remember(_dir, _in_memory), do: nil

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
  def handle_call({:request, encoded_op, timeout}, from, %{refused: nil} = state) do
    now = now()
    state = state |> admit(encoded_op, timeout, from, now) |> drain(now, @frame_requests)
    {:noreply, write(state)}
  end

  def handle_call({:request, encoded_op, timeout, kind}, from, %{refused: nil} = state) do
    now = now()
    state = state |> admit(encoded_op, timeout, kind, from, now) |> drain(now, @frame_requests)
    {:noreply, write(state)}
  end

  def handle_call(:holder, {pid, _tag}, %{refused: nil} = state) do
    {holder, state} = hold(state, pid)
    {:reply, {:ok, {self(), holder}}, state}
  end

  # What the daemon said once and is not asked again.
  def handle_call(:recovered, _from, %{refused: nil} = state) do
    {:reply, {:ok, Map.get(state.hello, :recovered, :none)}, state}
  end

  def handle_call(call, _from, %{refused: error} = state)
      when call in [:holder, :recovered] or (is_tuple(call) and elem(call, 0) == :request) do
    {:reply, {:error, error}, state}
  end

  # A store lives on whatever strangers say to it.
  def handle_call(_unknown, _from, state) do
    {:reply, {:error, Error.bad_call()}, state}
  end

  @impl true
  def handle_cast({:request, encoded_op}, %{refused: nil} = state) do
    {:noreply, state |> enqueue(encoded_op) |> drain(now(), @frame_requests) |> write()}
  end

  def handle_cast(_unknown, state), do: {:noreply, state}

  # Takes the requests that wait in the mailbox. Going through GenServer's
  # loop for each of them would cost more than handling it. All kinds of them are
  # taken, or one process's would overtake each other.
  #
  # Short requests, which are nearly all, change five fields of the state. They are kept
  # beside it until the mailbox is empty: to copy the struct for each request was a
  # twentieth of what a call costs the VM.
  defp drain(state, now, left) do
    limits =
      {state.timeout, state.max_in_flight, state.max_in_flight_bytes, state.frame_bytes_max}

    drain(
      state.next_id,
      state.in_flight,
      state.in_flight_bytes,
      state.back,
      :infinity,
      limits,
      left,
      now,
      state
    )
  end

  defp drain(id, count, sum, back, due, _limits, 0, _now, state) do
    drained(id, count, sum, back, due, state)
  end

  defp drain(id, count, sum, back, due, limits, left, now, state) do
    receive do
      {:"$gen_call", from, {:request, encoded_op, timeout}} ->
        bytes = byte_size(encoded_op) + Protocol.overhead()
        {default, count_max, sum_max, bytes_max} = limits

        if count < count_max and sum + bytes <= sum_max and bytes <= bytes_max do
          deadline = deadline(timeout || default, now)
          Pending.put(id, {from, bytes, deadline, :short})
          back = [{id, Protocol.request(id, encoded_op), bytes, 0} | back]
          due = min(due, deadline)

          drain(
            Protocol.next_id(id),
            count + 1,
            sum + bytes,
            back,
            due,
            limits,
            left - 1,
            now,
            state
          )
        else
          drained(id, count, sum, back, due, state)
          |> admit(encoded_op, timeout, from, now)
          |> drain(now, left - 1)
        end

      {:"$gen_call", from, {:request, encoded_op, timeout, kind}} ->
        drained(id, count, sum, back, due, state)
        |> admit(encoded_op, timeout, kind, from, now)
        |> drain(now, left - 1)

      {:"$gen_cast", {:request, encoded_op}} ->
        drained(id, count, sum, back, due, state) |> enqueue(encoded_op) |> drain(now, left - 1)
    after
      0 -> drained(id, count, sum, back, due, state)
    end
  end

  defp drained(id, _count, _sum, _back, _due, %{next_id: id} = state), do: state

  defp drained(id, count, sum, back, due, %{busy: false} = state)
       when count - state.in_flight >= @busy_requests do
    Process.flag(:min_heap_size, @busy_heap)
    drained(id, count, sum, back, due, %{state | busy: true})
  end

  defp drained(id, count, sum, back, due, state) do
    %{
      state
      | next_id: id,
        in_flight: count,
        in_flight_bytes: sum,
        back: back,
        sweep: sweep_by(state.sweep, due)
    }
  end

  defp admit(state, encoded_op, timeout, from, now) do
    bytes = byte_size(encoded_op) + Protocol.overhead()

    case refusal(state, bytes) do
      nil ->
        deadline = deadline(timeout || state.timeout, now)
        enqueue(state, encoded_op, {from, bytes, deadline, :short})

      error ->
        GenServer.reply(from, {:error, error})
        state
    end
  end

  defp admit(state, encoded_op, timeout, {:long, limits}, from, now) do
    timeout = timeout || state.timeout
    encoded_op = Protocol.limit(encoded_op, limits, timeout)
    bytes = IO.iodata_length(encoded_op) + Protocol.overhead()

    case refusal(state, bytes) do
      nil ->
        deadline = deadline(timeout, now + @deadline_grace)
        state |> watch_later() |> enqueue(encoded_op, {from, bytes, deadline, :long})

      error ->
        GenServer.reply(from, {:error, error})
        state
    end
  end

  defp admit(state, encoded_op, timeout, {:holder, holder}, from, now) do
    if Map.has_key?(state.holder_pids, holder) do
      admit(state, encoded_op, timeout, from, now)
    else
      details = %{reason: :unknown_holder, outcome: :not_sent}
      GenServer.reply(from, {:error, Error.new(:no_snapshot, nil, details)})
      state
    end
  end

  defp admit(state, _encoded_op, _timeout, _unknown, from, _now) do
    GenServer.reply(from, {:error, Error.bad_call()})
    state
  end

  # A request for whose answer nobody waits.
  defp enqueue(state, encoded_op) do
    bytes = byte_size(encoded_op) + Protocol.overhead()
    enqueue(state, encoded_op, {nil, bytes, :infinity, :short})
  end

  defp enqueue(state, encoded_op, {_from, bytes, deadline, kind} = entry) do
    id = state.next_id
    long_bytes = if kind == :long, do: bytes, else: 0
    Pending.put(id, entry)

    %{
      state
      | next_id: Protocol.next_id(id),
        in_flight: state.in_flight + 1,
        in_flight_bytes: state.in_flight_bytes + bytes,
        back: [{id, Protocol.request(id, encoded_op), bytes, long_bytes} | state.back],
        sweep: sweep_by(state.sweep, deadline)
    }
  end

  defp deadline(:infinity, _now), do: :infinity
  defp deadline(timeout, now), do: now + timeout

  ## Deadlines

  defp now, do: System.monotonic_time(:millisecond)

  # :infinity is greater than any number. Deadlines mostly come in their order,
  # so the timer is mostly set already.
  defp sweep_by({at, _timer} = sweep, deadline) when at <= deadline, do: sweep

  defp sweep_by({_at, timer}, deadline) do
    if timer, do: Process.cancel_timer(timer, async: true, info: false)
    {deadline, Process.send_after(self(), :sweep, deadline, abs: true)}
  end

  # Tells every caller whose time is up, and sets the timer for the next one.
  defp sweep(state) do
    now = now()
    waiting = for {id, {from, _, deadline, _}} <- Pending.all(), from, do: {id, deadline}
    late = for {id, deadline} <- waiting, deadline <= now, do: id

    next =
      Enum.min(for({_id, deadline} <- waiting, deadline > now, do: deadline), fn -> :infinity end)

    state = drop_unsent(state, late)
    error = Error.new(:timeout, nil, %{outcome: :unknown})
    state = Enum.reduce(late, state, &give_up_on(&1, &2, error))
    write(%{state | sweep: sweep_by({:infinity, nil}, next)})
  end

  # Takes requests out of the queue and answers them: they never were sent.
  defp drop_unsent(%{front: [], back: []} = state, _late), do: state
  defp drop_unsent(state, []), do: state

  defp drop_unsent(state, late) do
    late = MapSet.new(late)
    {drop, keep} = Enum.split_with(queue(state), fn {id, _, _, _} -> id in late end)

    for {id, _request, _bytes, _long} <- drop do
      {from, _bytes, _deadline, kind} = Pending.take(id)
      unwatch(kind)
      message = "the time was up before the request was sent"
      GenServer.reply(from, {:error, Error.new(:timeout, message, not_sent())})
    end

    bytes = for {_id, _request, bytes, _long} <- drop, reduce: 0, do: (sum -> sum + bytes)
    %{leave(state, length(drop), bytes) | front: keep, back: []}
  end

  # The answer may still come, and opens the window again when it does.
  defp give_up_on(id, state, error) do
    case Pending.take(id) do
      nil ->
        state

      {from, bytes, _deadline, kind} ->
        GenServer.reply(from, {:error, error})
        unwatch(kind)

        if kind == :short do
          Pending.put(id, {nil, bytes, :infinity, :short})
          state
        else
          Pending.put(id, {nil, bytes, :infinity, :long})
          cancel(state, id)
        end
    end
  end

  # What nobody waits for any more need not be done. It is answered all the same.
  defp cancel(state, id), do: enqueue(state, Protocol.encode_op({:cancel, id}))

  defp leave(state, count, bytes) do
    %{
      state
      | in_flight: state.in_flight - count,
        in_flight_bytes: state.in_flight_bytes - bytes
    }
  end

  defp queue(state), do: state.front ++ Enum.reverse(state.back)

  ## Callers of long reads

  defp watch_later(%{watch: true} = state), do: state

  defp watch_later(state) do
    Process.send_after(self(), :watch, @watch_after)
    %{state | watch: true}
  end

  # One that has died by now is told at once.
  defp watch do
    for {id, {{pid, _tag} = from, bytes, deadline, :long}} <- Pending.all() do
      monitor = Process.monitor(pid)
      Pending.watch(monitor, id)
      Pending.put(id, {from, bytes, deadline, monitor})
    end
  end

  # A message of its end that is on its way is about nothing then.
  defp unwatch(monitor) when is_reference(monitor) do
    Pending.unwatch(monitor)
    Process.demonitor(monitor)
  end

  defp unwatch(_kind), do: true

  # It is dead. What still waits here is never sent.
  defp abandon(state, id) do
    {from, bytes, _deadline, _monitor} = Pending.take(id)
    Pending.put(id, {from, bytes, :infinity, :long})

    case drop_unsent(state, [id]) do
      %{in_flight: in_flight} = dropped when in_flight < state.in_flight ->
        dropped

      state ->
        Pending.put(id, {nil, bytes, :infinity, :long})
        cancel(state, id)
    end
  end

  ## Holders

  defp hold(state, pid) do
    case state.holders do
      %{^pid => {holder, _monitor}} ->
        {holder, state}

      _none ->
        holder = state.next_holder

        {holder,
         %{
           state
           | next_holder: holder + 1,
             holders: Map.put(state.holders, pid, {holder, Process.monitor(pid)}),
             holder_pids: Map.put(state.holder_pids, holder, pid)
         }}
    end
  end

  # All that a dead process had asked for was asked for before this.
  defp release_all_of(state, pid, monitor) do
    case Map.pop(state.holders, pid) do
      {{holder, ^monitor}, holders} ->
        enqueue(
          %{state | holders: holders, holder_pids: Map.delete(state.holder_pids, holder)},
          Protocol.encode_op({:release_holder, holder})
        )

      _no_holder ->
        state
    end
  end

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

  defp write(state) do
    cond do
      Window.open?(state.window) and (state.front != [] or state.back != []) ->
        state |> turn() |> write_frame() |> write()

      Window.ping?(state.window) ->
        {ping, 1, state} = ping([], 0, state)
        command(state.port, Protocol.frame(ping, 1))
        state

      true ->
        state
    end
  end

  defp turn(%{front: []} = state), do: %{state | front: Enum.reverse(state.back), back: []}
  defp turn(state), do: state

  defp write_frame(state) do
    {requests, count, bytes, long_bytes, last, rest} = gather(state.front, [], 0, 0, 0, nil)
    window = Window.written(state.window, last, bytes, long_bytes)
    {requests, count, state} = ping(requests, count, %{state | front: rest, window: window})
    command(state.port, Protocol.frame(requests, count))
    state
  end

  # The requests of one frame, in order; the first one whatever its size.
  defp gather([{id, request, bytes, long_bytes} | rest], acc, n, size, long_size, _last)
       when n == 0 or (n < @frame_requests and size + bytes <= @frame_bytes) do
    gather(rest, [acc | request], n + 1, size + bytes, long_size + long_bytes, id)
  end

  defp gather(rest, acc, n, size, long_size, last), do: {acc, n, size, long_size, last, rest}

  # The requests of a frame with a ping behind them, if it is time for one.
  defp ping(requests, count, state) do
    if Window.ping?(state.window) do
      id = state.next_id
      encoded_op = Protocol.encode_op({:ping})
      bytes = byte_size(encoded_op) + Protocol.overhead()
      Pending.put(id, {nil, bytes, :infinity, :ping})

      {[requests | Protocol.request(id, encoded_op)], count + 1,
       %{
         state
         | next_id: Protocol.next_id(id),
           in_flight: state.in_flight + 1,
           in_flight_bytes: state.in_flight_bytes + bytes,
           window: Window.pinged(state.window, bytes)
       }}
    else
      {requests, count, state}
    end
  end

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
        {:noreply, replies |> answer(0, 0, state) |> write()}

      :error ->
        close(port)
        down(state, :bad_frame)
    end
  end

  def handle_info(:sweep, state), do: {:noreply, sweep(state)}

  def handle_info(:watch, state) do
    watch()
    {:noreply, %{state | watch: false}}
  end

  def handle_info({:DOWN, monitor, :process, pid, _reason}, state) do
    state =
      case Pending.unwatch(monitor) do
        nil -> release_all_of(state, pid, monitor)
        id -> abandon(state, id)
      end

    {:noreply, write(state)}
  end

  def handle_info({port, {:exit_status, status}}, %{port: port} = state) do
    down(state, Protocol.exit_reason(status))
  end

  def handle_info({:EXIT, port, _reason}, %{port: port} = state) do
    await_exit_status(port)
    {:noreply, state}
  end

  def handle_info({:EXIT, _linked, :normal}, state), do: {:noreply, state}
  def handle_info({:EXIT, _linked, reason}, state), do: {:stop, reason, state}
  def handle_info(_message, state), do: {:noreply, state}

  # `count` and `bytes` are those of answers to short requests, which say that
  # these were read.
  defp answer([{id, answer} | rest], count, bytes, state) when is_integer(id) do
    case Pending.take(id) do
      {from, size, _deadline, :short} ->
        if from, do: GenServer.reply(from, answer)
        answer(rest, count + 1, bytes + size, state)

      {from, size, _deadline, kind} ->
        if from, do: GenServer.reply(from, answer)
        unwatch(kind)

        window =
          if kind == :ping,
            do: Window.ping_answered(state.window, size),
            else: Window.read_answered(state.window, id, size)

        answer(rest, count, bytes, leave(%{state | window: window}, 1, size))

      nil ->
        answer(rest, count, bytes, state)
    end
  end

  defp answer([{name, term} | rest], count, bytes, state) do
    Events.hear(name, term, state)
    answer(rest, count, bytes, state)
  end

  defp answer([_unknown | rest], count, bytes, state), do: answer(rest, count, bytes, state)

  defp answer([], count, bytes, state) do
    leave(%{state | window: Window.answered(state.window, bytes)}, count, bytes)
  end

  ## Ends

  defp down(state, reason) do
    Telemetry.execute(
      [:rhizome, :daemon, :down],
      %{system_time: System.system_time(), in_flight: state.in_flight},
      %{store: state.store, os_pid: os_pid(state), reason: reason}
    )

    if state.dir, do: note_end(reason, state)
    message = "the daemon died (#{inspect(reason)}) before it answered"
    {:stop, {:daemon_exit, reason}, fail_pending(state, :daemon_down, message)}
  end

  defp note_end(reason, state) when reason in [:io, :no_memory] do
    Directories.failed(state.dir)

    Logger.warning(
      "Rhizome #{inspect(state.store)} in #{state.dir}: the daemon ended with " <>
        "#{inspect(reason)}#{next_start(Directories.back_off(state.dir))}"
    )
  end

  defp note_end(_reason, state), do: Directories.unfailed(state.dir)

  defp fail_pending(state, code, message) do
    unsent = for {id, _request, _bytes, _long} <- queue(state), into: MapSet.new(), do: id

    for {id, {from, _bytes, _deadline, kind}} <- Pending.all(), Pending.take(id), from do
      unwatch(kind)
      outcome = if id in unsent, do: :not_sent, else: :unknown
      GenServer.reply(from, {:error, Error.new(code, message, %{outcome: outcome})})
    end

    %{state | in_flight: 0, in_flight_bytes: 0, window: Window.new(), front: [], back: []}
  end

  @impl true
  def terminate({:daemon_exit, _reason}, state), do: reap(state, 0)
  def terminate(_reason, %{port: nil}), do: :ok

  def terminate(reason, state) do
    deadline = now() + state.grace
    {end_of_daemon, state} = finish(state, deadline)
    state = fail_pending(state, :stopped, "the store was stopped before the daemon answered")

    Telemetry.execute(
      [:rhizome, :daemon, :down],
      %{system_time: System.system_time(), in_flight: 0},
      %{store: state.store, os_pid: os_pid(state), reason: reason}
    )

    close(state.port)

    case reap(state, time_left(deadline)) do
      :killed -> warn_of_kill(state)
      :exited -> if end_of_daemon == :orderly and state.entry, do: Directories.forget(state.entry)
    end
  end

  defp warn_of_kill(state) do
    Logger.warning(
      "Rhizome #{inspect(state.store)}#{in_dir(state.dir)}: the daemon had not ended within " <>
        "the :shutdown_timeout of #{state.grace} ms and was killed" <>
        if(state.dir,
          do: ". What was acknowledged is in the log; a checkpoint at_stop may need more time",
          else: ""
        )
    )
  end

  # Long reads have half of the time. The daemon needs some for itself.
  defp finish(state, deadline) do
    case finish_in_flight(state, deadline - div(state.grace, 2)) do
      {:orderly, state} -> state |> cancel_all() |> write() |> finish_in_flight(deadline)
      died -> died
    end
  end

  defp cancel_all(state) do
    long = for {id, {from, _, _, kind}} <- Pending.all(), from, kind != :short, do: id
    message = "the store was stopped before the read was done"

    Enum.reduce(
      long,
      state,
      &give_up_on(&1, &2, Error.new(:stopped, message, %{outcome: :unknown}))
    )
  end

  # Answers what was accepted, accepts no more, until the deadline or until
  # nobody waits any longer.
  defp finish_in_flight(%{port: port} = state, deadline) do
    receive do
      {^port, {:data, _frame}} = message ->
        case handle_info(message, state) do
          {:noreply, state} -> finish_in_flight(state, deadline)
          {:stop, _reason, state} -> {:died, state}
        end

      {^port, {:exit_status, status}} ->
        message = "the daemon died (#{inspect(Protocol.exit_reason(status))}) before it answered"
        {:died, fail_pending(state, :daemon_down, message)}

      {:"$gen_call", from, call} when call == :holder or elem(call, 0) == :request ->
        GenServer.reply(from, {:error, Error.new(:stopped, nil, not_sent())})
        finish_in_flight(state, deadline)

      :sweep ->
        finish_in_flight(sweep(state), deadline)
    after
      if(somebody_waits?(), do: time_left(deadline), else: 0) -> {:orderly, state}
    end
  end

  defp somebody_waits? do
    Enum.any?(Pending.all(), fn {_id, entry} -> elem(entry, 0) != nil end)
  end

  defp time_left(deadline), do: max(deadline - now(), 0)

  defp close(port) do
    Port.close(port)
  rescue
    ArgumentError -> true
  end

  defp reap(%{reaper: nil}, _grace), do: :exited
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
      hello: state.hello,
      dir: state.dir,
      refused: state.refused
    }
  end

  defp summary(other), do: other

  defp redact({:"$gen_call", from, {:request, op, _}}), do: {:request, byte_size(op), from}
  defp redact({:"$gen_call", from, {:request, op, _, _}}), do: {:request, byte_size(op), from}
  defp redact({:"$gen_cast", {:request, op}}), do: {:request, byte_size(op)}
  defp redact({port, {:data, frame}}), do: {port, {:data, byte_size(frame)}}
  defp redact(message), do: message
end
