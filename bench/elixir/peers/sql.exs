defmodule Bench.Sql do
  # What the databases are asked alike.

  # {vertex, level} of what is at most two pairs away from the parameter.
  def two_hop(start) do
    """
    SELECT id, min(level) FROM (
      SELECT #{start} AS id, 0 AS level
      UNION ALL SELECT b, 1 FROM pairs WHERE a = #{start}
      UNION ALL SELECT q.b, 2 FROM pairs p JOIN pairs q ON q.a = p.b WHERE p.a = #{start}
    ) AS found GROUP BY id
    """
  end
end
