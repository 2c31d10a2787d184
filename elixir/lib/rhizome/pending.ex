defmodule Rhizome.Pending do
  @moduledoc false
  # The requests that a port's owner has accepted and not answered yet, by id:
  # {from, bytes, deadline, kind}. `from` is nil if nobody waits for the answer, or
  # once its caller has been told that the time is up. `kind` is :short, :long for a
  # read that may take long, the monitor that watches the caller of one, or :ping.
  #
  # They live in the process dictionary of the owner, under integers, which
  # nobody else uses there, and under the monitor the id that it is for: a hash
  # table that is changed in place. A map is
  # copied along a path at each insertion and removal, and with hundreds of
  # requests in flight that was a tenth of what a call costs.

  @type entry ::
          {GenServer.from() | nil, non_neg_integer(), integer() | :infinity,
           :short | :long | reference() | :ping}

  @spec put(non_neg_integer(), entry()) :: term()
  def put(id, entry), do: :erlang.put(id, entry)

  @spec take(non_neg_integer()) :: entry() | nil
  def take(id) do
    case :erlang.erase(id) do
      :undefined -> nil
      entry -> entry
    end
  end

  # Who waits for the answer to this one, if anybody does.
  @spec caller(non_neg_integer()) :: pid() | nil
  def caller(id) do
    case :erlang.get(id) do
      {{pid, _tag}, _bytes, _deadline, _kind} -> pid
      _nobody -> nil
    end
  end

  @spec watch(reference(), non_neg_integer()) :: term()
  def watch(monitor, id), do: :erlang.put(monitor, id)

  @spec unwatch(reference()) :: non_neg_integer() | nil
  def unwatch(monitor) do
    case :erlang.erase(monitor) do
      :undefined -> nil
      id -> id
    end
  end

  @spec all() :: [{non_neg_integer(), entry()}]
  def all, do: for({id, entry} <- :erlang.get(), is_integer(id), do: {id, entry})
end
