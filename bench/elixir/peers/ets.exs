defmodule Bench.Peer.Ets do
  # Two tables by hand: ordered_sets of {a, b} and {b, a}. A walk by `:ets.next/2`
  # reads the partners of a key faster than a match specification does.
  @behaviour Bench.Peer

  @impl true
  def available, do: :ok

  @impl true
  def start(_type), do: Bench.Ets.new()

  @impl true
  def stop(tables), do: Bench.Ets.delete(tables)

  @impl true
  def insert_all(tables, pairs), do: Bench.Ets.insert_all(tables, pairs)

  @impl true
  def insert({fwd, bwd}, a, b) do
    :ets.insert(fwd, {{a, b}})
    :ets.insert(bwd, {{b, a}})
  end

  @impl true
  def member?({fwd, _bwd}, a, b), do: :ets.member(fwd, {a, b})

  @impl true
  def fwd({fwd, _bwd}, a), do: walk(fwd, a, {a, 0}, [])

  @impl true
  def bwd({_fwd, bwd}, b), do: walk(bwd, b, {b, 0}, [])

  # Ids count from 1.
  defp walk(table, key, at, found) do
    case :ets.next(table, at) do
      {^key, other} = next -> walk(table, key, next, [other | found])
      _other_key -> found
    end
  end

  @impl true
  def count(tables), do: Bench.Ets.count(tables)

  @impl true
  def bytes(tables), do: Bench.Ets.bytes(tables)

  @impl true
  def steal_all({fwd, bwd} = tables, pairs) do
    for {owner, item} <- pairs do
      for old <- bwd(tables, item), old != owner do
        :ets.delete(fwd, {old, item})
        :ets.delete(bwd, {item, old})
      end

      insert(tables, owner, item)
    end
  end

  @impl true
  def page(tables, position, amount), do: Bench.Ets.page(tables, position, amount)
end

defmodule Bench.Peer.EtsBag do
  # Two bags. A bag compares each new object with all of its key, so keys with very
  # many partners are slow to insert into; here they have eight on average.
  @behaviour Bench.Peer

  @impl true
  def available, do: :ok

  @impl true
  def start(_type), do: {:ets.new(:fwd, [:bag, :public]), :ets.new(:bwd, [:bag, :public])}

  @impl true
  def stop(tables), do: Bench.Ets.delete(tables)

  @impl true
  def insert_all({fwd, bwd}, pairs) do
    :ets.insert(fwd, pairs)
    :ets.insert(bwd, for({a, b} <- pairs, do: {b, a}))
  end

  @impl true
  def insert({fwd, bwd}, a, b) do
    :ets.insert(fwd, {a, b})
    :ets.insert(bwd, {b, a})
  end

  @impl true
  def member?({fwd, _bwd}, a, b), do: :lists.member({a, b}, :ets.lookup(fwd, a))

  @impl true
  def fwd({fwd, _bwd}, a), do: partners(fwd, a)

  @impl true
  def bwd({_fwd, bwd}, b), do: partners(bwd, b)

  defp partners(table, key) do
    :ets.lookup_element(table, key, 2)
  rescue
    ArgumentError -> []
  end

  @impl true
  def count(tables), do: Bench.Ets.count(tables)

  @impl true
  def bytes(tables), do: Bench.Ets.bytes(tables)

  @impl true
  def steal_all({fwd, bwd} = tables, pairs) do
    for {owner, item} <- pairs do
      for old <- bwd(tables, item), old != owner do
        :ets.delete_object(fwd, {old, item})
        :ets.delete_object(bwd, {item, old})
      end

      insert(tables, owner, item)
    end
  end
end
