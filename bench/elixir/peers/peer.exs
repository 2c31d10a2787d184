defmodule Bench.Peer do
  # What a store of pairs has to be able to do so that every case of suite `peers`
  # can be asked of it: a many_to_many, or a one_to_many, read from both sides.
  #
  # A peer is a module with this behaviour and a line in `peers.exs`. It keeps both
  # directions by hand where it has no relations, the way its users would, and is
  # called by many processes at once. Answers are checked by whoever asks.

  @type instance :: term()
  @type pair :: {integer(), integer()}

  # :ok, or why this machine has it not.
  @callback available() :: :ok | String.t()
  @callback start(:many_to_many | :one_to_many) :: instance()
  @callback stop(instance()) :: term()

  # A batch in one request, or as near to one as there is; a pair that is there stays.
  @callback insert_all(instance(), [pair()]) :: term()
  @callback insert(instance(), integer(), integer()) :: term()

  @callback member?(instance(), integer(), integer()) :: boolean()
  # Partners in any order.
  @callback fwd(instance(), integer()) :: [integer()]
  @callback bwd(instance(), integer()) :: [integer()]
  @callback count(instance()) :: non_neg_integer()

  # What it takes to hold the pairs: the growth of the resident set of a server, what
  # the account of the VM says of what lives in the VM.
  @callback bytes(instance()) :: non_neg_integer()

  # What a server does by itself between loading and the first questions.
  @callback settle(instance()) :: term()

  # Of a one_to_many: gives each item, of a batch of different ones, to its owner.
  @callback steal_all(instance(), [pair()]) :: term()

  # `amount` pairs from a position on, in order, where there is an order.
  @callback page(instance(), non_neg_integer(), pos_integer()) :: [pair()]
  # Partners of many, in one request where that can be had.
  @callback fwd_many(instance(), [integer()]) :: [[integer()]]
  # [{vertex, level}] of what is at most two pairs away, in any order.
  @callback two_hop(instance(), integer()) :: [{integer(), 0..2}]
  # How many can be reached.
  @callback reached(instance(), integer()) :: pos_integer()
  # The process on whose heap the pairs are, or that leads to them.
  @callback holder(instance()) :: pid() | nil

  @optional_callbacks settle: 1,
                      steal_all: 2,
                      page: 3,
                      fwd_many: 2,
                      two_hop: 2,
                      reached: 2,
                      holder: 1

  def can?(module, function, arity), do: function_exported?(module, function, arity)

  def settle(module, instance) do
    if can?(module, :settle, 1), do: module.settle(instance)
  end

  def holder(module, instance) do
    if can?(module, :holder, 1), do: module.holder(instance)
  end

  def two_hop(module, instance, start) do
    if can?(module, :two_hop, 2) do
      module.two_hop(instance, start)
    else
      first = module.fwd(instance, start)
      found = for other <- first, into: %{}, do: {other, 1}
      found = Map.put(found, start, 0)

      for others <- many(module, instance, first), other <- others, reduce: found do
        found -> Map.put_new(found, other, 2)
      end
      |> Map.to_list()
    end
  end

  def reached(module, instance, start) do
    if can?(module, :reached, 2),
      do: module.reached(instance, start),
      else: map_size(search(module, instance, [start], %{start => 0}, 1))
  end

  defp search(_module, _instance, [], levels, _level), do: levels

  defp search(module, instance, front, levels, level) do
    {next, levels} =
      for others <- many(module, instance, front), other <- others, reduce: {[], levels} do
        {next, levels} when is_map_key(levels, other) -> {next, levels}
        {next, levels} -> {[other | next], Map.put(levels, other, level)}
      end

    search(module, instance, next, levels, level + 1)
  end

  # A thousand at a time, so that no answer is held in whole.
  defp many(module, instance, keys) do
    if can?(module, :fwd_many, 2) do
      keys |> Stream.chunk_every(1000) |> Stream.flat_map(&module.fwd_many(instance, &1))
    else
      Stream.map(keys, &module.fwd(instance, &1))
    end
  end
end
