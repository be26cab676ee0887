"""The page that shows the cluster at work: who leads, who follows, what requests wait for."""
