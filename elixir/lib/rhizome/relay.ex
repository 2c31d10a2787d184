defmodule Rhizome.Relay do
  @moduledoc false
  # The process between the change feed of a store and one subscriber, on the
  # node of the subscriber.
  #
  #     daemon == events ==> owner --> relay -- messages --> subscriber
  #            <= feed_ack ==      <--        (while its queue is short)
  #
  # The daemon sends as much as a window of 256 KiB lets it, and the relay
  # acknowledges what it has handed over, no sooner. So what is under way is
  # bounded: one window here, and in the subscriber's mailbox what this lets in.
  # All beyond that is the daemon's to keep or, when it cannot, to call off with an
  # overflow.
  #
  # The mailbox. How long it is can be asked, how large it is cannot. But of the
  # messages that were sent from here only the latest can be in it, as many as it
  # is long, so the sum of their sizes bounds what of ours is there.
  #
  # It is started by the subscriber and watches both ends: with the subscriber it
  # ends in silence, and the owner, which watches it as it does all holders, ends
  # the subscription; with the owner it says so. Nobody is linked to it. Should it be
  # killed itself, or fail, a watcher that does nothing else tells the subscriber.

  use GenServer

  alias Rhizome.{Client, Error}

  # What is acknowledged at once, of a window of 256 KiB.
  @ack_bytes 32 * 1024

  # What may wait in the subscriber's mailbox beside a bounded number.
  @queue_bytes 4 * 1024 * 1024

  # How often a subscriber that is behind is looked at.
  @look_again 10

  defstruct [
    :subscriber,
    :ref,
    :owner,
    :owner_monitor,
    :name,
    :max_queue,
    # bytes that were handed over and not acknowledged
    unacked: 0,
    # what is to be handed over, in order: {:changes, binary}, {:overflow, seq}, {:down, reason}
    waiting: :queue.new(),
    # the sizes of what may be in the mailbox of the subscriber: {queue, count, sum}
    sent: {:queue.new(), 0, 0},
    timer: nil
  ]

  # Subscribes for the calling process. Returns what there is of it: the `:relay`, its
  # `:watcher`, the `:owner` and the `:seq` that the daemon answered.
  @spec start(map()) :: {:ok, map()} | {:error, Error.t()}
  def start(%{ref: ref} = request) do
    case GenServer.start(__MODULE__, Map.put(request, :subscriber, self())) do
      {:ok, pid} ->
        receive do
          {^ref, {:subscribed, facts}} -> {:ok, Map.put(facts, :relay, pid)}
        end

      {:error, {:shutdown, %Error{} = error}} ->
        {:error, error}

      {:error, {:shutdown, %ArgumentError{} = error}} ->
        raise error
    end
  end

  # When it returns, nothing more comes from either of the two.
  @spec stop(pid(), watcher :: pid()) :: :ok
  def stop(relay, watcher) do
    monitor = Process.monitor(watcher)

    try do
      GenServer.call(relay, :unsubscribe, :infinity)
    catch
      :exit, {_reason, {GenServer, :call, _arguments}} -> :ok
    end

    receive do
      {:DOWN, ^monitor, :process, _pid, _reason} -> :ok
    end
  end

  @impl true
  def init(request) do
    Process.monitor(request.subscriber)
    subscribe = &{:subscribe, &1, request.tables, request.from}

    case Client.hold(request.store, subscribe, request.timeout) do
      {{:ok, {:subscribed, seq}}, {owner, name}} ->
        facts = %{seq: seq, owner: owner, watcher: watched(request.subscriber, request.ref)}
        send(request.subscriber, {request.ref, {:subscribed, facts}})

        {:ok,
         %__MODULE__{
           subscriber: request.subscriber,
           ref: request.ref,
           owner: owner,
           owner_monitor: Process.monitor(owner),
           name: name,
           max_queue: request.max_queue
         }}

      {{:error, error}, _held} ->
        {:stop, {:shutdown, error}}

      {:error, error} ->
        {:stop, {:shutdown, error}}
    end
  rescue
    # What names no store is the caller's mistake, and raised there.
    error in ArgumentError -> {:stop, {:shutdown, error}}
  end

  # Returns when it watches.
  defp watched(subscriber, ref) do
    relay = self()

    watcher =
      spawn(fn ->
        monitor = Process.monitor(relay)
        send(relay, {ref, :watched})

        receive do
          {:DOWN, ^monitor, :process, _pid, :normal} -> :ok
          {:DOWN, ^monitor, :process, _pid, why} -> send(subscriber, down(ref, {:relay, why}))
        end
      end)

    receive do
      {^ref, :watched} -> watcher
    end
  end

  defp down(ref, reason), do: {:rhizome, ref, {:down, reason}}

  @impl true
  def handle_call(:unsubscribe, _from, state) do
    Client.tell(state.owner, {:unsubscribe, state.name})
    {:stop, :normal, :ok, state}
  end

  def handle_call(_unknown, _from, state), do: {:reply, {:error, Error.bad_call()}, state}

  @impl true
  def handle_cast(_unknown, state), do: {:noreply, state}

  @impl true
  def handle_info({:rhizome_feed, name, event}, %{name: name} = state) do
    hand_over(put(state, event))
  end

  def handle_info(:look_again, state), do: hand_over(%{state | timer: nil})

  def handle_info({:DOWN, monitor, :process, _pid, reason}, %{owner_monitor: monitor} = state) do
    hand_over(put(state, {:down, reason}))
  end

  def handle_info({:DOWN, _monitor, :process, pid, _reason}, %{subscriber: pid} = state) do
    {:stop, :normal, state}
  end

  def handle_info(_message, state), do: {:noreply, state}

  defp put(state, event), do: %{state | waiting: :queue.in(event, state.waiting)}

  defp hand_over(state) do
    with {:value, event} <- :queue.peek(state.waiting),
         {:message_queue_len, length} <- Process.info(state.subscriber, :message_queue_len) do
      state = %{state | sent: latest(state.sent, length)}
      if room?(state, length, event), do: hand_over(event, state), else: look_again(state)
    else
      :empty -> {:noreply, acknowledge(state, @ack_bytes)}
      # Of the subscriber's death we shall hear.
      nil -> {:noreply, state}
    end
  end

  defp hand_over({:changes, binary}, state) do
    send(state.subscriber, {:rhizome, state.ref, {:changes, changes(binary)}})
    bytes = byte_size(binary)
    {sizes, count, sum} = state.sent

    hand_over(%{
      state
      | waiting: :queue.drop(state.waiting),
        sent: {:queue.in(bytes, sizes), count + 1, sum + bytes},
        unacked: state.unacked + bytes
    })
  end

  # The end of the subscription, whichever it is.
  defp hand_over(last, state) do
    send(state.subscriber, {:rhizome, state.ref, last})
    {:stop, :normal, state}
  end

  # Terms of this VM or of one that shares the store; the daemon compresses none.
  defp changes(<<131, tag, _rest::binary>> = binary) when tag != 80 do
    for {seq, changes} <- :erlang.binary_to_term(binary), do: %{seq: seq, changes: changes}
  end

  # One message passes an empty mailbox, however large it is.
  defp room?(_state, 0, _event), do: true
  defp room?(%{max_queue: max}, length, _event) when length >= max, do: false
  defp room?(%{sent: {_, _, sum}}, _length, {:changes, binary}), do: fits?(sum, binary)
  defp room?(_state, _length, _last), do: true

  defp fits?(sum, binary), do: sum == 0 or sum + byte_size(binary) <= @queue_bytes

  defp latest({sizes, count, sum}, length) when count > length do
    {{:value, bytes}, sizes} = :queue.out(sizes)
    latest({sizes, count - 1, sum - bytes}, length)
  end

  defp latest(sent, _length), do: sent

  # Meanwhile the window is to be as open as it may be.
  defp look_again(state) do
    state = acknowledge(state, 1)
    timer = state.timer || Process.send_after(self(), :look_again, @look_again)
    {:noreply, %{state | timer: timer}}
  end

  defp acknowledge(%{unacked: bytes} = state, least) when bytes >= least do
    Client.tell(state.owner, {:feed_ack, state.name, bytes})
    %{state | unacked: 0}
  end

  defp acknowledge(state, _least), do: state

  # Reports show how much there was and never what.
  if {:format_status, 1} in GenServer.behaviour_info(:callbacks) do
    @impl true
  end

  def format_status(status) do
    status
    |> Map.replace_lazy(:state, &%{&1 | waiting: :queue.len(&1.waiting), sent: elem(&1.sent, 1)})
    |> Map.replace_lazy(:message, &redact/1)
    |> Map.replace_lazy(:log, fn _log -> [] end)
  end

  defp redact({:rhizome_feed, name, {:changes, binary}}) do
    {:rhizome_feed, name, {:changes, byte_size(binary)}}
  end

  defp redact(message), do: message
end
